"""Configuration: its keys and limits, a run's identity, objects given by `_target_`, and messages about mistakes.

This folder imports neither JAX nor any other folder, so that every other folder may import it.
"""
