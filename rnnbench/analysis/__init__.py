"""Records as pandas tables, which runs are seeds of the same setting, and statistics over them.

Imports no JAX and, of this package, only `records`, `config` and `errors`.
"""
