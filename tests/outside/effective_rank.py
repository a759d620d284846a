"""A probe of your own: what it measures, the table that it fills, and what draws it."""

from collections.abc import Mapping, Sequence
from typing import ClassVar

import jax.numpy as jnp
import numpy as np
import pandas as pd
import pyarrow as pa
from jaxtyping import PyTree
from matplotlib.figure import Figure

from rnnbench.model import Model
from rnnbench.probes import Columns, Probe
from rnnbench.probes.states import states_over_time
from rnnbench.tasks import Example, Task


class EffectiveRank(Probe):
    """In how many directions the top layer's states vary over the batch: the participation ratio.

    (sum_i v_i)^2 / sum_i v_i^2,   v_i the eigenvalues of the states' covariance
    """

    name = "effective_rank"
    tables: ClassVar = {"effective_rank": {"time": pa.int64(), "rank": pa.float64()}}
    figures: ClassVar = {"effective_rank": ("effective_rank.draw_effective_rank",)}
    headlines: ClassVar = {"rank": "effective rank of the states at the answer"}

    def measure(self, model: Model, task: Task, batch: Example, answer: int) -> PyTree:
        states = states_over_time(model.layers[-1], model.layer_inputs(batch.inputs, batch.mask)[-1], batch.mask.T)
        h = (states[0] if isinstance(states, tuple) else states)[:answer]
        h = h - h.mean(1, keepdims=True)
        covariance = jnp.einsum("tbi,tbj->tij", h, h)
        trace = jnp.trace(covariance, axis1=1, axis2=2)
        return trace**2 / jnp.maximum(jnp.sum(covariance**2, axis=(1, 2)), 1e-30)

    def rows(self, measured: PyTree, model: Model, task: Task) -> Mapping[str, Sequence[Columns]]:
        return {"effective_rank": [{"time": np.arange(len(measured)), "rank": measured}]}

    def headline(self, measured: PyTree, model: Model) -> dict[str, float]:
        return {"rank": float(measured[-1])}


def draw_effective_rank(table: pd.DataFrame, runs: pd.DataFrame) -> Figure:
    """The rank against time, a line for each run."""
    figure = Figure()
    axes = figure.subplots()
    for run_id, own in table.groupby("run_id"):
        axes.plot(own["time"], own["rank"], label=run_id)
    return figure
