"""Even pairs: whether a string changes its symbol an even number of times."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from rnnbench.tasks.base import Example
from rnnbench.tasks.formal.base import StringClassification


class EvenPairs(StringClassification):
    """Say whether the pairs `ab` and `ba` in a string of a and b are even in number, taken together.

    That is the same as asking whether the first and the last symbol are equal: a regular language that needs one bit.

        inputs   a b b a b
        target           odd        ab, ba, ab

    Lengths and scores are those of `VariableLength`; a string has at least two symbols.
    Chance: accuracy 1/2.

    After Deletang et al. 2023.

    Args:
        length: the largest length in training.
        test_length: the largest length in the test set.

    Raises:
        ValueError: a length is too small.
    """

    def __init__(self, length: int = 32, test_length: int = 256) -> None:
        super().__init__(length, test_length, symbols="ab", answers=("even", "odd"), shortest=2)

    def sequence(self, key: PRNGKeyArray, length: Int[Array, ""], size: int) -> Example:
        letters = jax.random.randint(key, (size,), 0, 2)
        return Example(
            inputs=letters,
            targets=jnp.int32(letters[0] != letters[length - 1]),
            mask=jnp.arange(size) < length,
            info={},
        )

    def frequencies(self, length: int) -> Float[np.ndarray, " answers"]:
        del length
        return np.full(2, 1 / 2)
