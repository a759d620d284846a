"""Sweeps: which runs a command asks for, which are done, how the others are grouped into jobs and launched.

Imports no JAX and, of this package, only `config`, `records` and `errors`.
"""
