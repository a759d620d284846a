"""Selective copy: remember symbols that come at random places."""

import jax
import jax.numpy as jnp
from jaxtyping import PRNGKeyArray

from rnnbench.tasks.base import Example
from rnnbench.tasks.recall.base import ASK, letters
from rnnbench.tasks.symbols import SequenceLabelling


class SelectiveCopy(SequenceLabelling):
    """Repeat, in their order, symbols that are scattered among blanks, when `:` asks for them.

    With 3 symbols among the first 8 steps:

        inputs   . b . . a c . . : . .
        targets                  b a c

    The places are drawn anew each time, so what is remembered must depend on what is read; in the copy memory task, it
    may depend on the time alone. The loss is the mean cross-entropy of the recalled symbols, in nats; `accuracy` is the
    share of them that is right, which `distance`, from a symbol to its recall, breaks down.
    Chance: accuracy 1 / alphabet. Solved: accuracy of at least .99.

    After Gu & Dao 2023 (16 symbols among 4,096 steps) and Jing et al. 2019.

    Args:
        length: number of steps in which the symbols are scattered.
        symbols: number of symbols to remember.
        alphabet: number of kinds of symbols.

    Raises:
        ValueError: a number is too small, or `length` smaller than `symbols`.
    """

    breakdowns = ("distance",)

    def __init__(self, length: int = 64, symbols: int = 8, alphabet: int = 8) -> None:
        for name, value, smallest in (("symbols", symbols, 1), ("length", length, symbols), ("alphabet", alphabet, 2)):
            if value < smallest:
                raise ValueError(f"{name}: expected at least {smallest}, got {value}")
        names = letters(alphabet)
        super().__init__(length + symbols, symbols=[".", ":", *names], answers=names)
        self.scattered = length
        self.memory = symbols
        self.alphabet = alphabet

    def example(self, key: PRNGKeyArray) -> Example:
        memory_key, place_key = jax.random.split(key)
        memory = jax.random.randint(memory_key, (self.memory,), 0, self.alphabet)
        places = jnp.sort(jax.random.permutation(place_key, self.scattered)[: self.memory])
        inputs = jnp.zeros(self.length, memory.dtype).at[places].set(memory + 2).at[self.scattered].set(ASK)
        is_answer = jnp.arange(self.length) >= self.scattered
        return Example(
            inputs=inputs,
            targets=jnp.zeros_like(inputs).at[self.scattered :].set(memory),
            mask=jnp.ones(self.length, bool),
            info={
                "scored": is_answer,
                "cue": inputs > ASK,
                "distance": self.scattered + jnp.arange(self.memory) - places,
            },
        )
