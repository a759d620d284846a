"""The adding problem."""

from typing import Literal

import jax
import jax.numpy as jnp
from jaxtyping import PRNGKeyArray

from rnnbench.tasks.base import Example, fixed_batch
from rnnbench.tasks.lags.marked import TOLERANCE, MarkedNumbers


class Adding(MarkedNumbers):
    """Add the two marked numbers of a long sequence; all others are noise.

    Form "halves" (Arjovsky et al. 2016; Tallec & Ollivier 2018): values from U[0, 1], one mark in each half.
    With `length` 8:

        value   .52  .91  .07  .33 | .68  .20  .44  .75
        mark     0    1    0    0  |  0    0    1    0       target .91 + .44 = 1.35

    Form "1997" (Hochreiter & Schmidhuber 1997, experiment 4): values from U[-1, 1]; each sequence is between
    `length` and `length` + `length` // 10 steps long, padded at its end. The first mark falls among the first 10
    pairs, the second among the first `length` / 2 - 1 others. The marks of the first and the last pair are -1, and
    if the first pair is drawn, its value counts as zero. The target is .5 + (X1 + X2) / 4.

    The loss is the squared error of the output after the last step; `accuracy` is the share of answers off by less
    than 0.04. `distance` is the number of steps from the earlier mark to the answer, which is counted as the
    step after the last.
    Chance: always predicting the mean gives 1/6 in the form "halves". In the form "1997" it gives 1/24, slightly less
    because of the sequences whose first pair is drawn (.039 at `length` 100).
    Solved: root mean squared error below 0.04, that is, an mse below 0.0016.

    Args:
        length: number of steps T (the smallest number, in the form "1997"); at least 2, or 20 in the form "1997".
        form: "halves" or "1997".

    Raises:
        ValueError: `length` is too small for the form.
    """

    def __init__(self, length: int = 100, form: Literal["halves", "1997"] = "halves") -> None:
        smallest = {"halves": 2, "1997": 20}
        if form not in smallest:
            raise ValueError(f"form: expected 'halves' or '1997', got {form!r}")
        if length < smallest[form]:
            raise ValueError(f"length: expected at least {smallest[form]} in the form {form!r}, got {length}")
        self.form = form
        self.shortest = length
        self.length = length + length // 10 if form == "1997" else length

    def example(self, key: PRNGKeyArray) -> Example:
        return self._halves(key) if self.form == "halves" else self._original(key)

    def _halves(self, key: PRNGKeyArray) -> Example:
        values_key, first_key, second_key = jax.random.split(key, 3)
        values = jax.random.uniform(values_key, (self.length,))
        first = jax.random.randint(first_key, (), 0, self.length // 2)
        second = jax.random.randint(second_key, (), self.length // 2, self.length)
        steps = jnp.arange(self.length)
        marks = jnp.float32((steps == first) | (steps == second))
        return Example(
            inputs=jnp.stack([values, marks], axis=-1),
            targets=jnp.sum(values * marks, keepdims=True),
            mask=jnp.ones(self.length, bool),
            info={"distance": self.length - first, "cue": marks > 0},
        )

    def probe_set(self, size: int) -> Example:
        """Returns the first examples of the test set; in the form "1997", all of the smallest length."""
        if self.form == "halves":
            return super().probe_set(size)
        return fixed_batch(lambda key: self._original(key, longest=self.shortest), size)

    def _original(self, key: PRNGKeyArray, longest: int | None = None) -> Example:
        values_key, length_key, first_key, second_key = jax.random.split(key, 4)
        length = jax.random.randint(length_key, (), self.shortest, (longest or self.length) + 1)
        first = jax.random.randint(first_key, (), 0, 10)
        second = jax.random.randint(second_key, (), 0, self.shortest // 2 - 1)
        second += jnp.int32(second >= first)  # the pairs still unmarked
        steps = jnp.arange(self.length)
        marked = (steps == first) | (steps == second)
        ends = (steps == 0) | (steps == length - 1)
        values = jax.random.uniform(values_key, (self.length,), minval=-1.0)
        values = jnp.where(marked & (steps == 0), 0.0, values)
        marks = jnp.where(ends, -1.0, jnp.float32(marked))
        mask = steps < length
        return Example(
            inputs=jnp.where(mask[:, None], jnp.stack([values, marks], axis=-1), 0.0),
            targets=0.5 + jnp.sum(jnp.where(marked, values, 0.0), keepdims=True) / 4,
            mask=mask,
            info={"distance": length - jnp.minimum(first, second), "cue": marked},
        )

    def chance(self) -> dict[str, float]:
        if self.form == "halves":
            mse = 2 * (1 / 12)  # the variance of two U[0, 1]
            accuracy = 1 - (1 - TOLERANCE) ** 2  # the triangular density of their sum around 1
        else:
            reach = 4 * TOLERANCE
            first_pair = 1 / 10 + 9 / 10 / (self.shortest // 2 - 1)  # probability that its value, zero, is a summand
            mse = (2 - first_pair) * (1 / 3) / 16
            accuracy = (1 - first_pair) * (1 - (1 - reach / 2) ** 2) + first_pair * reach
        return {"loss": mse, "mse": mse, "accuracy": accuracy}
