"""Counting: strings of as many b as a, or of as many b and c as a."""

from typing import Literal

import jax.numpy as jnp
from jaxtyping import Array, Int, PRNGKeyArray

from rnnbench.tasks.base import Example
from rnnbench.tasks.lengths import VariableLength
from rnnbench.tasks.symbols import NextSymbols


class Counting(VariableLength, NextSymbols):
    """Say which symbols may come next in a string a^n b^n, or a^n b^n c^n; `>` starts it and `.` ends it.

        inputs   >  a  a  a  b b b
        targets  a ab ab ab  b b .

    The answer after an `a` is always `ab`; after that, only the number of a decides how often b comes, and when the
    string ends. An LSTM can count with one cell, adding 1 for each a; states that are bounded, such as those of the RNN
    and the GRU, cannot do so without limit (Weiss et al. 2018). Lengths and scores are those of `VariableLength`: a
    string has `letters` n + 1 symbols, with n of 1 or more.
    Chance: `all_right` of a model that sees the last symbol alone, which can be right if n is 1.

    After Gers & Schmidhuber 2001, who train on n up to 10 or more and test n up to 1000.

    Args:
        length: the largest length in training.
        test_length: the largest length in the test set.
        letters: 2 for a^n b^n, 3 for a^n b^n c^n.

    Raises:
        ValueError: a length is too small, or there are neither 2 nor 3 letters.
    """

    def __init__(self, length: int = 33, test_length: int = 256, letters: Literal[2, 3] = 2) -> None:
        if letters not in (2, 3):
            raise ValueError(f"letters: expected 2 or 3, got {letters}")
        names = "abc"[:letters]
        super().__init__(length, test_length, symbols=">" + names, answers=names + ".", shortest=letters + 1)
        self.letters = letters

    def sequence(self, key: PRNGKeyArray, length: Int[Array, ""], size: int) -> Example:
        del key  # the length says everything
        count = (length - 1) // self.letters
        steps = jnp.arange(size)
        letter = (steps - 1) // count  # of each step, from 0 on; -1 at the start
        follows = steps // count  # the letter, or the end, at the next step
        among_a = letter == 0
        may_follow = jnp.arange(self.letters + 1)[None, :] == follows[:, None]
        may_follow |= among_a[:, None] & (jnp.arange(self.letters + 1) < 2)[None, :]
        return Example(
            inputs=jnp.where(steps == 0, 0, letter + 1),
            targets=may_follow,
            mask=steps <= self.letters * count,
            info={},
        )

    def chance(self) -> dict[str, float]:
        return {"all_right": self.over_test_lengths(lambda length: float((length - 1) // self.letters == 1))}
