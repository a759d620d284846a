"""What the tasks share that compute something from two marked numbers of a long sequence."""

from typing import ClassVar, Literal

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from rnnbench.tasks.base import Example, Task

TOLERANCE = 0.04
"""An answer counts as right if it is off by less than this (Hochreiter & Schmidhuber 1997)."""


class MarkedNumbers(Task):
    """Base class of tasks that read values and their marks, and predict one number after the last step.

    The loss is the squared error; `accuracy` is the share of answers off by less than 0.04.
    Solved: root mean squared error below 0.04, that is, an mse below 0.0016.
    """

    in_features = 2
    out_features = 1
    last_step_only = True
    score: ClassVar[str] = "mse"
    score_goal: ClassVar[Literal["max", "min"]] = "min"
    breakdowns = ("distance",)

    def loss(self, outputs: Float[Array, " out"], example: Example) -> Float[Array, ""]:
        return jnp.mean((outputs - example.targets) ** 2)

    def metrics(self, outputs: Float[Array, " out"], example: Example) -> dict[str, Float[Array, ""]]:
        return {
            "mse": self.loss(outputs, example),
            "accuracy": jnp.float32(jnp.abs(outputs - example.targets)[0] < TOLERANCE),
        }

    def solved(self, summary: dict[str, float]) -> bool:
        return summary["mse"] < TOLERANCE**2

    def read_inputs(self, inputs: Float[np.ndarray, "time features"]) -> dict[str, list[str]]:
        values, marks = inputs.T[:2]
        return {"value": [f"{value:.2f}" for value in values], "mark": [f"{mark:.0f}" for mark in marks]}
