"""Reverse: write symbols in reverse order."""

import jax.numpy as jnp
from jaxtyping import Array, Int

from rnnbench.tasks.recall.base import Recitation, letters


class Reverse(Recitation):
    """Read symbols, then write them from the last to the first.

        inputs   b a c a : . . .
        targets          a c a b

    The symbol that was read first is written last, so distances differ: 1 for the last symbol, 2 `symbols` - 1 for the
    first. The loss is the mean cross-entropy of what is written, in nats; `accuracy` is the share of it that is right,
    which `distance` breaks down.
    Chance: accuracy 1 / alphabet. Solved: accuracy of at least .99.

    After Grefenstette et al. 2015.

    Args:
        symbols: number of symbols to remember.
        alphabet: number of kinds of symbols.

    Raises:
        ValueError: a number is too small.
    """

    breakdowns = ("distance",)

    def __init__(self, symbols: int = 20, alphabet: int = 8) -> None:
        super().__init__(symbols, alphabet, letters(alphabet))

    def answer(self, memory: Int[Array, " symbols"]) -> Int[Array, " symbols"]:
        return memory[::-1]

    def about_answers(self) -> dict[str, Int[Array, " symbols"]]:
        return {"distance": 2 * jnp.arange(self.memory) + 1}
