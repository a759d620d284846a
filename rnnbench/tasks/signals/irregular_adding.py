"""The adding problem at irregular times."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, PRNGKeyArray

from rnnbench.tasks.base import Example
from rnnbench.tasks.lags.marked import MarkedNumbers


class IrregularAdding(MarkedNumbers):
    """Add the two marked numbers of a series with irregular gaps; each has faded since its time.

    A number v counts v exp(-age / `length`), and its age is the sum of the gaps after it. With `length` 6:

        value   .52  .91  .07 | .68  .20  .44
        mark     0    1    0  |  0    1    0       target .91 e^(-5.1 / 6) + .20 e^(-2.3 / 6) = .53
        gap      .4  1.2   .3 | 2.1   .4  2.3

    Values are from U[0, 1], with one mark in each half; a gap, the time since the step before, is exponentially
    distributed with mean 1. So a model that adds must also keep the time, and fade what it has added; one that only
    counts steps knows the ages by their means alone.

    The loss is the squared error of the output after the last step; `accuracy` is the share of answers off by less
    than 0.04. `distance` is the number of steps from the earlier mark to the answer, which is counted as the step
    after the last.
    Chance: always predicting the mean leaves the variance of the target, .079 at `length` 100.
    Solved: root mean squared error below 0.04, that is, an mse below 0.0016.

    Args:
        length: number of steps, and the time in which a number fades to 1/e; at least 2.

    Raises:
        ValueError: `length` is too small.
    """

    in_features = 3

    def __init__(self, length: int = 100) -> None:
        if length < 2:
            raise ValueError(f"length: expected at least 2, got {length}")
        self.length = length

    def example(self, key: PRNGKeyArray) -> Example:
        values_key, first_key, second_key, gap_key = jax.random.split(key, 4)
        values = jax.random.uniform(values_key, (self.length,))
        gaps = jax.random.exponential(gap_key, (self.length,))
        first = jax.random.randint(first_key, (), 0, self.length // 2)
        second = jax.random.randint(second_key, (), self.length // 2, self.length)
        steps = jnp.arange(self.length)
        marked = (steps == first) | (steps == second)
        ages = jnp.sum(gaps) - jnp.cumsum(gaps)
        return Example(
            inputs=jnp.stack([values, jnp.float32(marked), gaps], axis=-1),
            targets=jnp.sum(jnp.where(marked, values * jnp.exp(-ages / self.length), 0.0), keepdims=True),
            mask=jnp.ones(self.length, bool),
            info={"distance": self.length - first, "cue": marked},
        )

    def chance(self) -> dict[str, float]:
        """Returns the variance of the target.

        The weight after n gaps is w = exp(-age / length), with E w = (1 + 1 / length)^-n and
        E w^2 = (1 + 2 / length)^-n; the earlier weight is the later one times that of the gaps between the marks.
        """
        half = self.length // 2
        first, second = np.arange(half)[:, None], np.arange(half, self.length)[None, :]
        once, twice = ((1 + power / self.length) ** -1.0 for power in (1, 2))
        after_first, after_second = self.length - 1 - first, self.length - 1 - second
        mean = (once**after_first + once**after_second) / 2
        square = (twice**after_first + twice**after_second) / 3
        product = twice**after_second * once ** (second - first) / 4
        mse = float(np.mean(square + 2 * product) - np.mean(mean) ** 2)
        return {"loss": mse, "mse": mse}

    def read_inputs(self, inputs: Float[np.ndarray, "time 3"]) -> dict[str, list[str]]:
        return super().read_inputs(inputs) | {"gap": [f"{gap:.1f}" for gap in inputs[:, 2]]}
