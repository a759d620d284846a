"""Cycle navigation: where a walk on a circle ends."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from rnnbench.tasks.base import Example
from rnnbench.tasks.formal.base import StringClassification


class CycleNavigation(StringClassification):
    """Say where a walk on a circle of places ends: `+` is a step forward, `-` a step back, `=` a rest.

    With 5 places, numbered 0 to 4, from place 0:

        inputs   + + = - - - -
        target               3

    A regular language. Lengths and scores are those of `VariableLength`.
    Chance: the accuracy of naming the most probable place for the length, a little above 1 / places for short walks.

    After Deletang et al. 2023, with 5 places.

    Args:
        length: the largest length in training.
        test_length: the largest length in the test set.
        places: number of places on the circle.

    Raises:
        ValueError: a length is too small, or there are fewer than 3 places.
    """

    def __init__(self, length: int = 32, test_length: int = 256, places: int = 5) -> None:
        if places < 3:
            raise ValueError(f"places: expected at least 3, got {places}")
        super().__init__(length, test_length, symbols="-=+", answers=[str(place) for place in range(places)])
        self.places = places

    def sequence(self, key: PRNGKeyArray, length: Int[Array, ""], size: int) -> Example:
        moves = jax.random.randint(key, (size,), 0, 3)
        mask = jnp.arange(size) < length
        return Example(inputs=moves, targets=jnp.sum(jnp.where(mask, moves - 1, 0)) % self.places, mask=mask, info={})

    def frequencies(self, length: int) -> Float[np.ndarray, " answers"]:
        at = np.eye(self.places)[0]
        for _ in range(length):
            at = (np.roll(at, 1) + at + np.roll(at, -1)) / 3
        return at
