"""Parity: whether a string has an odd number of ones."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from rnnbench.tasks.base import Example
from rnnbench.tasks.formal.base import StringClassification


class Parity(StringClassification):
    """Say whether the number of ones in a string of zeros and ones is even or odd.

        inputs   0 1 1 0 1
        target           odd

    A regular language: two states, which each symbol keeps or swaps. Lengths and scores are those of `VariableLength`.
    Chance: accuracy 1/2, since both answers are equally probable at every length.

    After Deletang et al. 2023, who train on lengths up to 40 and score lengths up to 500.

    Args:
        length: the largest length in training.
        test_length: the largest length in the test set.

    Raises:
        ValueError: a length is too small.
    """

    def __init__(self, length: int = 32, test_length: int = 256) -> None:
        super().__init__(length, test_length, symbols="01", answers=("even", "odd"))

    def sequence(self, key: PRNGKeyArray, length: Int[Array, ""], size: int) -> Example:
        bits = jax.random.randint(key, (size,), 0, 2)
        mask = jnp.arange(size) < length
        return Example(inputs=bits, targets=jnp.sum(jnp.where(mask, bits, 0)) % 2, mask=mask, info={})

    def frequencies(self, length: int) -> Float[np.ndarray, " answers"]:
        del length
        return np.full(2, 1 / 2)
