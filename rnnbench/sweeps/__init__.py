"""Sweeps: which runs a command asks for, which are done, and how the others are grouped into jobs and launched.

This folder does not import JAX, and imports only `config`, `records` and `errors` from this package.
"""
