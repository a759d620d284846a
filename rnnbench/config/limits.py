"""Limits of what a command may ask for."""

MAX_RUNS = 10_000
"""Maximum number of runs in a sweep. Planning takes about 15 ms a run."""
