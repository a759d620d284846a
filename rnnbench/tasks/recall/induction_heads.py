"""Induction heads: what came after a mark the last time."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int, PRNGKeyArray

from rnnbench.tasks.base import Example
from rnnbench.tasks.lengths import VariableLength
from rnnbench.tasks.recall.base import letters
from rnnbench.tasks.symbols import SequenceClassification


class InductionHeads(VariableLength, SequenceClassification):
    """Say which symbol came after the mark `|`, when the mark comes again at the end.

        inputs   c a | d b a a |
        target                 d

    The mark's first place is random. Lengths and scores are those of `VariableLength`; `distance` is the number of
    steps from the symbol to the end.
    Chance: accuracy 1 / alphabet.

    After Olsson et al. 2022; Gu & Dao 2023 train on length 256 with 16 kinds of symbols and score lengths up to 2^20.

    Args:
        length: the largest length in training.
        test_length: the largest length in the test set.
        alphabet: number of kinds of symbols.

    Raises:
        ValueError: a number is too small.
    """

    breakdowns = ("length", "distance")

    def __init__(self, length: int = 64, test_length: int = 512, alphabet: int = 16) -> None:
        if alphabet < 2:
            raise ValueError(f"alphabet: expected at least 2, got {alphabet}")
        names = letters(alphabet)
        super().__init__(length, test_length, symbols=["|", *names], answers=names, shortest=3)

    def sequence(self, key: PRNGKeyArray, length: Int[Array, ""], size: int) -> Example:
        symbol_key, place_key = jax.random.split(key)
        symbols = jax.random.randint(symbol_key, (size,), 0, len(self.answers))
        mark = jax.random.randint(place_key, (), 0, length - 2)
        steps = jnp.arange(size)
        return Example(
            inputs=jnp.where((steps == mark) | (steps == length - 1), 0, symbols + 1),
            targets=symbols[mark + 1],
            mask=steps < length,
            info={"cue": steps == mark + 1, "distance": length - 2 - mark},
        )
