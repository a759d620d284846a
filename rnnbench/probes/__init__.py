"""Measurements of models, a probe a file: where in time the gradient is, what gates do, what the state still knows.

`base` says what a probe is, `finding` finds one by its name. The functions that measure are pure, and can be called by
themselves on a model with its parameters, or on a cell. Imports JAX, cells, tasks and the model.
"""

from rnnbench.probes.base import Columns, Probe

__all__ = ["Columns", "Probe"]
