"""What the gates do."""

from typing import ClassVar

import jax.numpy as jnp
import numpy as np
import pyarrow as pa
from flax import nnx
from jax import lax
from jaxtyping import Array, Bool, Float, PyTree, Shaped

from rnnbench.cells.base import GatedCell, States, is_gated
from rnnbench.cells.gates import Gates
from rnnbench.cells.scanning import hold
from rnnbench.model import Model
from rnnbench.probes.base import Columns, Probe
from rnnbench.tasks.base import Example, Task

LOW, HIGH = 0.1, 0.9
"""A gate counts as closed if its absolute value is below the first, and as open if it is above the second."""


class GateStatistics(Probe):
    """What every gate does in every unit at every time step, over the probe batch, and how much of a state is retained.

    Table `gates`: the mean of the gate's value, and the shares of |value| < 0.1 (`low`) and > 0.9 (`high`).
    Table `retention`: the mean of the factor by which the cell keeps a state (see `GatedCell.retention`); a unit
    with the factor r remembers for about 1 / (1 - r) steps.
    """

    name = "gates"
    tables: ClassVar = {
        "gates": {
            "layer": pa.int64(),
            "gate": pa.string(),
            "unit": pa.int64(),
            "time": pa.int64(),
            **dict.fromkeys(("mean", "low", "high"), pa.float32()),
        },
        "retention": {
            "layer": pa.int64(),
            "state": pa.string(),
            "unit": pa.int64(),
            "time": pa.int64(),
            "mean": pa.float32(),
        },
    }
    figures: ClassVar = {"retention": ("rnnbench.figures.gates.time_constants",)}

    def measure(self, model: Model, task: Task, batch: Example, answer: int) -> PyTree:
        """Returns means over the batch up to the answer, `(time, hidden)`, by (layer, gate) and by (layer, state)."""
        del task
        values = gate_values(model, batch.inputs, batch.mask)
        gates = {
            name: {"mean": v.mean(1), "low": (jnp.abs(v) < LOW).mean(1), "high": (jnp.abs(v) > HIGH).mean(1)}
            for name, v in ((name, v[:answer]) for name, v in values.items())
        }
        retention = {
            (layer, state): factor[:answer].mean(1)
            for layer, cell in enumerate(model.layers)
            if is_gated(cell)
            for state, factor in cell.retention(Gates({g: v for (at, g), v in values.items() if at == layer})).items()
        }
        return gates, retention

    def rows(self, measured: PyTree, model: Model, task: Task) -> dict[str, list[Columns]]:
        """Returns a row for every unit and time step."""
        del model, task
        gates, retention = measured
        return {
            "gates": [
                {"layer": layer, "gate": gate, **_where(own["mean"]), **{k: v.ravel() for k, v in own.items()}}
                for (layer, gate), own in gates.items()
            ],
            "retention": [
                {"layer": layer, "state": state, **_where(mean), "mean": mean.ravel()}
                for (layer, state), mean in retention.items()
            ],
        }


def _where(values: Float[np.ndarray, "time hidden"]) -> dict[str, np.ndarray]:
    time, unit = np.indices(values.shape)
    return {"time": time.ravel(), "unit": unit.ravel()}


def gate_values(
    model: Model, inputs: Shaped[Array, "batch time ..."], mask: Bool[Array, "batch time"]
) -> dict[tuple[int, str], Float[Array, "time batch _"]]:
    """Returns the value of every gate at every step, by layer and name of the gate.

    Args:
        model: the model with its parameters.
        inputs: token ids or features, as the model takes them.
        mask: False at padded steps, where gates are computed as usual, but the state is kept.

    Returns:
        The gates of gated cells. Other cells are left out, since their gates are unknown.
    """
    return {
        (layer, name): values
        for layer, (cell, xs) in enumerate(zip(model.layers, model.layer_inputs(inputs, mask), strict=True))
        if is_gated(cell)
        for name, values in _observed(cell, xs, mask.T).items()
    }


def _observed(
    cell: GatedCell, inputs: Float[Array, "time batch _"], mask: Bool[Array, "time batch"]
) -> dict[str, Float[Array, "time batch gate"]]:
    def step(states: States, x: tuple[Array, Array]) -> tuple[States, dict[str, Array]]:
        inputs_t, mask_t = x
        new, values = cell.observe(states, inputs_t)
        return hold(mask_t, new, states), values

    return lax.scan(step, cell.initialize_carry(inputs.shape[1:], nnx.Rngs(0)), (inputs, mask))[1]
