"""Delayed echo: each symbol again, some steps later."""

import jax
import jax.numpy as jnp
from jaxtyping import PRNGKeyArray

from rnnbench.tasks.base import Example
from rnnbench.tasks.recall.base import letters
from rnnbench.tasks.symbols import SequenceLabelling


class Echo(SequenceLabelling):
    """At every step, give the symbol that was read `delay` steps before.

    With a delay of 3:

        inputs   b a c a d b c
        targets        b a c a

    The state must hold `delay` + 1 symbols and shift them at every step. The loss is the mean cross-entropy of the
    steps that have an answer, in nats; `accuracy` is the share of them that is right. `distance`, the same for all, is
    `delay`.
    Chance: accuracy 1 / alphabet. Solved: accuracy of at least .99.

    A delay line is the oldest test of short-term memory (Jaeger 2002).

    Args:
        length: number of steps, more than `delay`.
        delay: steps from a symbol to its echo.
        alphabet: number of kinds of symbols.

    Raises:
        ValueError: a number is too small.
    """

    breakdowns = ("distance",)

    def __init__(self, length: int = 64, delay: int = 8, alphabet: int = 4) -> None:
        for name, value, smallest in (("delay", delay, 1), ("length", length, delay + 1), ("alphabet", alphabet, 2)):
            if value < smallest:
                raise ValueError(f"{name}: expected at least {smallest}, got {value}")
        names = letters(alphabet)
        super().__init__(length, symbols=names, answers=names)
        self.delay = delay

    def example(self, key: PRNGKeyArray) -> Example:
        symbols = jax.random.randint(key, (self.length,), 0, len(self.symbols))
        return Example(
            inputs=symbols,
            targets=jnp.roll(symbols, self.delay),
            mask=jnp.ones(self.length, bool),
            info={"scored": jnp.arange(self.length) >= self.delay, "distance": jnp.int32(self.delay)},
        )
