"""Measurements of models, one probe per file: where the gradient vanishes, what gates do, what the state remembers.

`base` defines what a probe is, and `finding` finds one by name. The measuring functions are pure, and can be called
directly on a model with its parameters, or on a cell. Imports JAX, cells, tasks and the model.
"""

from rnnbench.probes.base import Columns, Probe

__all__ = ["Columns", "Probe"]
