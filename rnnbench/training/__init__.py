"""Training: a single step, programs for populations of runs, the host's loop, checkpoints, devices, processes.

Imports cells, tasks, model and probes for the computation, and records and loggers to store its results.
"""
