"""Where records go besides the disk. A logger gets the tables of one run, or of a population, as they are recorded.

`base` says what a logger is, `population` which runs share one; the others are a logger a file. Imports no JAX. The
records on disk are the truth, and are written first.
"""

from rnnbench.loggers.base import Logger

__all__ = ["Logger"]
