"""Where records go besides the disk. A logger gets the tables of one run, or of a population, as they are recorded.

Imports no JAX. The records on disk are the truth, and are written first.
"""
