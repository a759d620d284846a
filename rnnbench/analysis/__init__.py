"""What many runs say: tables of their records, which runs are seeds of one setting, and statistics over them.

Imports no JAX, and of this package only `records` and `config`.
"""
