"""Configuration: its keys and limits, a run's identity, objects by `_target_`, and messages about mistakes.

Imports no JAX and no other folder: everything else may import it.
"""
