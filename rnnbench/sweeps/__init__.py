"""Sweeps: which runs a command asks for, which of them are done, how the others make jobs, and how jobs are launched.

Imports no JAX: `config` and `records` only.
"""
