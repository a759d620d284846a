"""Repeat copy: write a sequence several times."""

import jax
import jax.numpy as jnp
from jaxtyping import PRNGKeyArray

from rnnbench.tasks.base import Example
from rnnbench.tasks.recall.base import letters
from rnnbench.tasks.symbols import SequenceLabelling


class RepeatCopy(SequenceLabelling):
    """Read symbols and a number, then write the symbols as often as the number says, and a full stop.

        inputs   b a x3 . . . . . .
        targets      b  a b a b a .

    The number of symbols is drawn from 1 to `symbols`, and that of the repeats from 1 to `repeats`, so examples differ
    in length and are padded. The loss is the mean cross-entropy of what is written, in nats; `accuracy` is the share of
    it that is right, and `all_right` whether all is. `repeated` breaks the score down by the number of repeats.
    Chance: the accuracy of guessing a symbol, 1 / alphabet, and the full stop. Nothing but the stop can be known
    without remembering the symbols, so the level is (n r / alphabet + 1) / (n r + 1), averaged over the numbers n and r
    of symbols and of repeats. Solved: accuracy of at least .99.

    After Graves et al. 2014.

    Args:
        symbols: the largest number of symbols.
        repeats: the largest number of repeats.
        alphabet: number of kinds of symbols.

    Raises:
        ValueError: a number is too small.
    """

    breakdowns = ("repeated",)

    def __init__(self, symbols: int = 5, repeats: int = 5, alphabet: int = 8) -> None:
        for name, value, smallest in (("symbols", symbols, 1), ("repeats", repeats, 1), ("alphabet", alphabet, 2)):
            if value < smallest:
                raise ValueError(f"{name}: expected at least {smallest}, got {value}")
        names = letters(alphabet)
        super().__init__(
            symbols + symbols * repeats + 1,
            symbols=[".", *(f"x{r}" for r in range(1, repeats + 1)), *names],
            answers=[".", *names],
        )
        self.memory = symbols
        self.repeats = repeats
        self.alphabet = alphabet

    def example(self, key: PRNGKeyArray) -> Example:
        memory_key, count_key, repeat_key = jax.random.split(key, 3)
        memory = jax.random.randint(memory_key, (self.memory,), 0, self.alphabet)
        count = jax.random.randint(count_key, (), 1, self.memory + 1)
        repeats = jax.random.randint(repeat_key, (), 1, self.repeats + 1)
        steps = jnp.arange(self.length)
        written = steps - count  # number of symbols written before each step
        is_answer = (written >= 0) & (written <= count * repeats)
        symbol = memory[jnp.where(written < 0, jnp.minimum(steps, self.memory - 1), written % count)]
        inputs = jnp.where(written < 0, self.repeats + 1 + symbol, jnp.where(written == 0, repeats, 0))
        return Example(
            inputs=inputs,
            targets=jnp.where(is_answer & (written < count * repeats), symbol + 1, 0),
            mask=written <= count * repeats,
            info={"scored": is_answer, "cue": written <= 0, "repeated": repeats},
        )

    def chance(self) -> dict[str, float]:
        lengths = [n * r for n in range(1, self.memory + 1) for r in range(1, self.repeats + 1)]
        levels = [(length / self.alphabet + 1) / (length + 1) for length in lengths]
        return {"accuracy": sum(levels) / len(levels)}
