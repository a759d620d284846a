"""Tasks that are trained on short sequences and scored on longer ones too."""

import abc
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int, PRNGKeyArray

from rnnbench.tasks.base import TEST_SEED, Example, GrowingTask, fixed_batch
from rnnbench.tasks.bins import bin_ends, reach
from rnnbench.tasks.symbols import SymbolTask


class VariableLength(GrowingTask, SymbolTask):
    """Base class of tasks that are trained up to one length and scored far beyond it.

    Training draws lengths evenly from `shortest` to `length`. The test set has as many examples from each of the bins
    1-2, 3-4, 5-8, 9-16, ... up to `test_length`; its sequences are padded to that. So there are two compiled shapes,
    whatever the lengths are. `info["length"]` is the number of symbols.

    `longer_score` is the mean score of the sequences that are longer than any in training, and `reach` the largest
    length up to which the mean score is at least .9 in every bin.
    Solved: mean score of at least .9 beyond the lengths of training, after Deletang et al. 2023, or of all lengths if
    `test_length` is `length`.

    Attributes:
        test_length: the largest length in the test set.
        shortest: the smallest length.
    """

    breakdowns: ClassVar[tuple[str, ...]] = ("length",)

    def __init__(
        self, length: int, test_length: int, symbols: Sequence[str], answers: Sequence[str], shortest: int = 1
    ) -> None:
        """Sets the attributes.

        Raises:
            ValueError: a length is too small.
        """
        if length < shortest:
            raise ValueError(f"length: expected at least {shortest}, got {length}")
        if test_length < length:
            raise ValueError(f"test_length: expected at least {length} (length), got {test_length}")
        super().__init__(length, symbols, answers)
        self.test_length = test_length
        self.shortest = shortest
        self.curriculum = (shortest, length)
        self._ends = bin_ends(shortest, test_length)

    @abc.abstractmethod
    def sequence(self, key: PRNGKeyArray, length: Int[Array, ""], size: int) -> Example:
        """Returns a random example of `length` symbols, or a few less if there is none, padded to `size`."""

    def _of_length(self, key: PRNGKeyArray, length: Int[Array, ""], size: int) -> Example:
        example = self.sequence(key, length, size)
        return example._replace(
            inputs=jnp.where(example.mask, example.inputs, 0),
            info={**example.info, "length": jnp.sum(example.mask, dtype=jnp.int32)},
        )

    def example_up_to(self, key: PRNGKeyArray, longest: Int[Array, ""]) -> Example:
        length_key, key = jax.random.split(key)
        return self._of_length(key, jax.random.randint(length_key, (), self.shortest, longest + 1), self.length)

    def test_set(self, size: int) -> Example:
        """Returns examples of all bins of lengths in turn."""
        ends = jnp.array(self._ends)

        def one(key: PRNGKeyArray, number: Int[Array, ""]) -> Example:
            length_key, key = jax.random.split(key)
            bin_ = number % (len(self._ends) - 1)
            length = jax.random.randint(length_key, (), ends[bin_] + 1, ends[bin_ + 1] + 1)
            return self._of_length(key, length, self.test_length)

        keys = jax.random.split(jax.random.key(TEST_SEED), size)
        return jax.jit(jax.vmap(one))(keys, jnp.arange(size))

    def probe_set(self, size: int) -> Example:
        """Returns examples of the largest length in training."""
        return fixed_batch(lambda key: self._of_length(key, jnp.int32(self.length), self.length), size)

    def over_test_lengths(self, value: Callable[[int], float]) -> float:
        """Returns the mean of a function of the length over the lengths of the test set."""
        means = [np.mean([value(n) for n in range(start + 1, end + 1)]) for start, end in pairwise(self._ends)]
        return float(np.mean(means))

    def summary(self, metrics: dict[str, np.ndarray], test_set: Example) -> dict[str, float]:
        score, length = np.asarray(metrics[self.score]), np.asarray(test_set.info["length"])
        longer = score[length > self.length]
        return super().summary(metrics, test_set) | {
            "longer_score": float(longer.mean() if longer.size else score.mean()),
            "reach": float(reach(score, length, self._ends, least=0.9)),
        }

    def solved(self, summary: dict[str, float]) -> bool:
        return summary["longer_score"] >= 0.9
