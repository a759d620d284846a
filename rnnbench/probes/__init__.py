"""Measurements on a fixed batch: where in time the gradient is, and what the state still knows.

Each takes a model with its parameters and is a pure function of arrays; any cell will do, but for `gate_values`, which
knows the gates of cells written by gate alone.
"""

from rnnbench.probes.gates import gate_values
from rnnbench.probes.gradient_flow import gradient_flow
from rnnbench.probes.jacobians import lyapunov_exponents, singular_values, spectral_radii
from rnnbench.probes.memory import memory
from rnnbench.probes.omega import omega
from rnnbench.probes.states import states_over_time

__all__ = [
    "gate_values",
    "gradient_flow",
    "lyapunov_exponents",
    "memory",
    "omega",
    "singular_values",
    "spectral_radii",
    "states_over_time",
]
