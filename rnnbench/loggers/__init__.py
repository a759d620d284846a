"""Where records go besides the disk. A logger gets the tables of one run, or of a population, as they are recorded.

`base` defines what a logger is, and `population` which runs share one; each other file is a logger. The records on disk
are authoritative and written first. Imports no JAX.
"""

from rnnbench.loggers.base import Logger

__all__ = ["Logger"]
