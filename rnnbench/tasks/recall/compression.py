"""Compression: a sequence into one state, from which any place can be asked for."""

import jax
import jax.numpy as jnp
from jaxtyping import PRNGKeyArray

from rnnbench.tasks.base import Example
from rnnbench.tasks.recall.base import letters
from rnnbench.tasks.symbols import SequenceLabelling


class Compression(SequenceLabelling):
    """Read symbols, then give the symbol at each place that is asked for; the places come in a random order.

    With 4 symbols; @0 asks for the first:

        inputs   b a c a @2 @0 @3 @1
        targets          c  b  a  a

    All symbols must be in the state at once, each at its place; reading them off in their order, as copying allows,
    does not help. The loss is the mean cross-entropy of the answers, in nats; `accuracy` is the share of them that is
    right, which `place`, the place that is asked for, breaks down.
    Chance: accuracy 1 / alphabet. Solved: accuracy of at least .99.

    After the compression task of MAD (Poli et al. 2024), which reads each place off the last state by a perceptron that
    is given the place.

    Args:
        symbols: number of symbols to compress.
        alphabet: number of kinds of symbols.

    Raises:
        ValueError: a number is too small.
    """

    breakdowns = ("place",)

    def __init__(self, symbols: int = 16, alphabet: int = 8) -> None:
        for name, value, smallest in (("symbols", symbols, 1), ("alphabet", alphabet, 2)):
            if value < smallest:
                raise ValueError(f"{name}: expected at least {smallest}, got {value}")
        names = letters(alphabet)
        super().__init__(2 * symbols, symbols=[*names, *(f"@{i}" for i in range(symbols))], answers=names)
        self.memory = symbols
        self.alphabet = alphabet

    def example(self, key: PRNGKeyArray) -> Example:
        memory_key, order_key = jax.random.split(key)
        memory = jax.random.randint(memory_key, (self.memory,), 0, self.alphabet)
        order = jax.random.permutation(order_key, self.memory)
        is_answer = jnp.arange(self.length) >= self.memory
        return Example(
            inputs=jnp.concatenate([memory, self.alphabet + order]),
            targets=jnp.concatenate([jnp.zeros_like(memory), memory[order]]),
            mask=jnp.ones(self.length, bool),
            info={"scored": is_answer, "cue": ~is_answer, "place": order},
        )
