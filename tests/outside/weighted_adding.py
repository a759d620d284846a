"""A task with a foldable argument that affects its loss and its metrics."""

from typing import Annotated

import jax
import jax.numpy as jnp
from jax import Array

from rnnbench.config.annotations import FOLDABLE
from rnnbench.tasks import Adding, Example


class WeightedAdding(Adding):
    """The adding problem with two targets: the sum and the difference of the two marked numbers.

    The loss is the squared error of the sum plus `weight` times the squared error of the difference.
    """

    out_features = 2
    breakdowns = ()

    def __init__(self, length: int = 100, weight: Annotated[float | Array, FOLDABLE] = 1.0) -> None:
        if not isinstance(weight, Array) and weight < 0:
            raise ValueError(f"weight: expected 0 or more, got {weight}")
        super().__init__(length)
        self.weight = weight

    def example(self, key: Array) -> Example:
        example = super().example(key)
        values, marks = example.inputs.T
        _, places = jax.lax.top_k(marks, 2)
        first, second = values[jnp.sort(places)]
        return example._replace(targets=jnp.stack([first + second, first - second]))

    def loss(self, outputs: Array, example: Example) -> Array:
        of_sum, of_difference = jnp.square(outputs - example.targets)
        return of_sum + self.weight * of_difference

    def metrics(self, outputs: Array, example: Example) -> dict[str, Array]:
        return {"mse": self.loss(outputs, example)}

    def chance(self) -> dict[str, float]:
        mse = (1 + float(self.weight)) * 2 * (1 / 12)  # the variances of the sum and the difference
        return {"loss": mse, "mse": mse}
