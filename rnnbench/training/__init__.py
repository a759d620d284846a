"""Training: one step, programs for populations of runs, the host's loop, checkpoints, devices, several processes.

Imports cells, tasks, model and probes to compute, records and loggers to keep what was computed.
"""
