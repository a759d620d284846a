"""What the tasks share that read symbols first and then write an answer."""

import abc

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int, PRNGKeyArray

from rnnbench.tasks.base import Example
from rnnbench.tasks.symbols import SequenceLabelling

BLANK, ASK = 0, 1
"""Token ids: the blank, and what asks for the answer. The symbols follow."""


class Recitation(SequenceLabelling):
    """Base class of tasks that read `symbols`, one a step, and then write as many, asked for by `:`.

    A subclass says in `answer` what is to be written, and in `about_answers` what breaks the score down. Only these
    steps count in the loss and in the scores; the first answer comes at `:` itself.

    Attributes:
        memory: number of symbols to remember.
        alphabet: number of kinds of symbols.
    """

    def __init__(self, symbols: int, alphabet: int, names: list[str]) -> None:
        """Sets the attributes.

        Args:
            symbols: number of symbols to remember.
            alphabet: number of kinds of symbols.
            names: what a person reads for each of them.

        Raises:
            ValueError: a number is too small.
        """
        for name, value, smallest in (("symbols", symbols, 1), ("alphabet", alphabet, 2)):
            if value < smallest:
                raise ValueError(f"{name}: expected at least {smallest}, got {value}")
        super().__init__(2 * symbols, symbols=[".", ":", *names], answers=names)
        self.memory = symbols
        self.alphabet = alphabet

    @abc.abstractmethod
    def answer(self, memory: Int[Array, " symbols"]) -> Int[Array, " symbols"]:
        """Returns what is to be written after reading the symbols, which are numbered from 0."""

    @abc.abstractmethod
    def about_answers(self) -> dict[str, Int[Array, " symbols"]]:
        """Returns an integer for each answer, in the order in which they are written, for each of the `breakdowns`."""

    def example(self, key: PRNGKeyArray) -> Example:
        memory = jax.random.randint(key, (self.memory,), 0, self.alphabet)
        asked = jnp.zeros_like(memory).at[0].set(ASK)
        is_answer = jnp.arange(self.length) >= self.memory
        return Example(
            inputs=jnp.concatenate([memory + 2, asked]),
            targets=jnp.concatenate([jnp.zeros_like(memory), self.answer(memory)]),
            mask=jnp.ones(self.length, bool),
            info={"scored": is_answer, "cue": ~is_answer, **self.about_answers()},
        )


def letters(alphabet: int) -> list[str]:
    """Returns names for kinds of symbols: a, b, c, ..., or s0, s1, ... if there are more than the alphabet has."""
    return [chr(ord("a") + i) for i in range(alphabet)] if alphabet <= 26 else [f"s{i}" for i in range(alphabet)]
