"""Majority: which of two symbols is more frequent."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from rnnbench.tasks.base import Example
from rnnbench.tasks.formal.base import StringClassification


class Majority(StringClassification):
    """Say which of a and b a string has more of.

        inputs   a b b a b
        target           b

    A counter solves it, and no finite number of states does. Strings are of odd length, so there are no ties. Lengths
    and scores are those of `VariableLength`.
    Chance: accuracy 1/2.

    After the language "majority" of FLaRe (Butoi et al. 2025).

    Args:
        length: the largest length in training.
        test_length: the largest length in the test set.

    Raises:
        ValueError: a length is too small.
    """

    def __init__(self, length: int = 32, test_length: int = 256) -> None:
        super().__init__(length, test_length, symbols="ab", answers="ab")

    def sequence(self, key: PRNGKeyArray, length: Int[Array, ""], size: int) -> Example:
        letters = jax.random.randint(key, (size,), 0, 2)
        odd = length - 1 + length % 2
        mask = jnp.arange(size) < odd
        return Example(
            inputs=letters, targets=jnp.int32(2 * jnp.sum(jnp.where(mask, letters, 0)) > odd), mask=mask, info={}
        )

    def frequencies(self, length: int) -> Float[np.ndarray, " answers"]:
        del length
        return np.full(2, 1 / 2)
