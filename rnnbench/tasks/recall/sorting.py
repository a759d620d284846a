"""Sorting: write numbers in their order."""

import math

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int

from rnnbench.tasks.recall.base import Recitation


class Sorting(Recitation):
    """Read numbers, then write them from the smallest to the largest.

        inputs   3 0 7 3 : . . .
        targets          0 3 3 7

    How often each number came is enough to know; their order is not needed. The loss is the mean cross-entropy of what
    is written, in nats; `accuracy` is the share of it that is right, which `rank`, from the smallest number to the
    largest, breaks down.
    Chance: the accuracy of naming the most probable number at each place (an order statistic of evenly distributed
    numbers), .53 for 20 of 8: the first are small and the last are large. Solved: accuracy of at least .99.

    After the sorting tasks of Graves et al. 2014 and Deletang et al. 2023 (bucket sort).

    Args:
        symbols: number of numbers to sort.
        alphabet: numbers are drawn from 0 to `alphabet` - 1.

    Raises:
        ValueError: a number is too small.
    """

    breakdowns = ("rank",)

    def __init__(self, symbols: int = 20, alphabet: int = 8) -> None:
        super().__init__(symbols, alphabet, [str(number) for number in range(alphabet)])

    def answer(self, memory: Int[Array, " symbols"]) -> Int[Array, " symbols"]:
        return jnp.sort(memory)

    def about_answers(self) -> dict[str, Int[Array, " symbols"]]:
        return {"rank": jnp.arange(self.memory) + 1}

    def chance(self) -> dict[str, float]:
        probabilities = np.diff(self._at_most(), axis=1, prepend=0.0)
        present = np.where(probabilities > 0, probabilities, 1.0)
        return {
            "loss": float(-np.sum(probabilities * np.log(present)) / self.memory),
            "accuracy": float(probabilities.max(axis=1).mean()),
        }

    def _at_most(self) -> np.ndarray:
        """Returns the probability that the k-th smallest of n numbers is at most v, by k and v.

        It is the probability that at least k of them are, each with probability (v + 1) / alphabet.
        """
        n = self.memory
        p = (np.arange(self.alphabet) + 1) / self.alphabet
        exactly = np.stack([math.comb(n, count) * p**count * (1 - p) ** (n - count) for count in range(n + 1)])
        return np.cumsum(exactly[::-1], axis=0)[::-1][1:]
