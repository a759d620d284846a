"""The multiplication problem."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int, PRNGKeyArray

from rnnbench.tasks.base import Example, fixed_batch
from rnnbench.tasks.lags.marked import MarkedNumbers


class Multiplication(MarkedNumbers):
    """Multiply the two marked numbers of a long sequence; all others are noise.

    With `length` 8:

        value   .52  .91  .07  .33  .68  .20  .44  .75
        mark     -1    1    0    0    0    0    1   -1       target .91 * .44 = .40

    As the form "1997" of the adding problem, with values from U[0, 1]: sequences have `length` to `length` +
    `length` // 10 steps and are padded at their end. The first mark falls among the first 10 pairs, the second among
    the first `length` / 2 - 1 others. The marks of the first and the last pair are -1, and if the first pair is drawn,
    its value counts as one. It shows whether a cell that adds well can do more than add.

    The loss is the squared error of the output after the last step; `accuracy` is the share of answers off by less
    than 0.04. `distance` is the number of steps from the earlier mark to the answer, which is counted as the step
    after the last.
    Chance: always predicting the mean gives 7/144 = .0486 for two uniform numbers, and .0592 at length 100, because the
    first pair is drawn in some sequences. Solved: root mean squared error below 0.04, that is, an mse below 0.0016.

    Experiment 5 of Hochreiter & Schmidhuber 1997, who stop at an error that leaves an mse of .0223 on their test.

    Args:
        length: the smallest number of steps, at least 20.

    Raises:
        ValueError: `length` is too small.
    """

    def __init__(self, length: int = 100) -> None:
        if length < 20:
            raise ValueError(f"length: expected at least 20, got {length}")
        self.shortest = length
        self.length = length + length // 10

    def example(self, key: PRNGKeyArray) -> Example:
        length_key, key = jax.random.split(key)
        return self._of_length(key, jax.random.randint(length_key, (), self.shortest, self.length + 1))

    def probe_set(self, size: int) -> Example:
        """Returns sequences of the smallest length."""
        return fixed_batch(lambda key: self._of_length(key, jnp.int32(self.shortest)), size)

    def _of_length(self, key: PRNGKeyArray, length: Int[Array, ""]) -> Example:
        values_key, first_key, second_key = jax.random.split(key, 3)
        first = jax.random.randint(first_key, (), 0, 10)
        second = jax.random.randint(second_key, (), 0, self.shortest // 2 - 1)
        second += jnp.int32(second >= first)  # the pairs still unmarked
        steps = jnp.arange(self.length)
        marked = (steps == first) | (steps == second)
        values = jax.random.uniform(values_key, (self.length,))
        values = jnp.where(marked & (steps == 0), 1.0, values)
        marks = jnp.where((steps == 0) | (steps == length - 1), -1.0, jnp.float32(marked))
        mask = steps < length
        return Example(
            inputs=jnp.where(mask[:, None], jnp.stack([values, marks], axis=-1), 0.0),
            targets=jnp.prod(jnp.where(marked, values, 1.0), keepdims=True),
            mask=mask,
            info={"distance": length - jnp.minimum(first, second), "cue": marked},
        )

    def chance(self) -> dict[str, float]:
        """Returns the variance of the product: of one uniform number, if the first pair is drawn, else of two."""
        first_pair = 1 / 10 + 9 / 10 / (self.shortest // 2 - 1)
        mean = first_pair / 2 + (1 - first_pair) / 4
        mse = first_pair / 3 + (1 - first_pair) / 9 - mean**2
        return {"loss": mse, "mse": mse}
