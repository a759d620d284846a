"""Variable copy: copy memory in which nobody knows when the recall is asked for."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int, PRNGKeyArray

from rnnbench.tasks.base import Example, GrowingTask, fixed_batch
from rnnbench.tasks.recall.base import ASK, letters
from rnnbench.tasks.symbols import SequenceLabelling


class VariableCopy(GrowingTask, SequenceLabelling):
    """Repeat the symbols seen at the start when `:` asks for them, after any time up to `length`.

        inputs   b a c . . : . .
        targets            b a c

    A clock cannot solve it, as it can the copy memory task with its fixed wait (Henaff et al. 2016). The wait is drawn
    from 0 to `length` - 1 blanks. The loss is the mean cross-entropy of the recalled symbols, in nats; `accuracy` is
    the share of them that is right. `distance` is the number of steps from a symbol to its recall.
    Chance: accuracy 1 / alphabet. Solved: accuracy of at least .99.

    Args:
        length: the longest time between the end of the symbols and their recall.
        symbols: number of symbols to remember.
        alphabet: number of kinds of symbols.

    Raises:
        ValueError: a number is too small.
    """

    breakdowns = ("distance",)

    def __init__(self, length: int = 100, symbols: int = 10, alphabet: int = 8) -> None:
        for name, value, smallest in (("length", length, 1), ("symbols", symbols, 1), ("alphabet", alphabet, 2)):
            if value < smallest:
                raise ValueError(f"{name}: expected at least {smallest}, got {value}")
        names = letters(alphabet)
        super().__init__(length - 1 + 2 * symbols, symbols=[".", ":", *names], answers=names)
        self.longest = length
        self.curriculum = (1, length)
        self.memory = symbols
        self.alphabet = alphabet

    def example_up_to(self, key: PRNGKeyArray, longest: Int[Array, ""]) -> Example:
        return self._waiting(key, jnp.int32(0), longest)

    def probe_set(self, size: int) -> Example:
        """Returns examples with the longest wait."""
        longest = jnp.int32(self.longest)
        return fixed_batch(lambda key: self._waiting(key, longest - 1, longest), size)

    def _waiting(self, key: PRNGKeyArray, shortest: Int[Array, ""], longest: Int[Array, ""]) -> Example:
        memory_key, wait_key = jax.random.split(key)
        memory = jax.random.randint(memory_key, (self.memory,), 0, self.alphabet)
        distance = self.memory + jax.random.randint(wait_key, (), shortest, longest)
        steps = jnp.arange(self.length)
        is_memory, is_answer = steps < self.memory, (steps >= distance) & (steps < distance + self.memory)
        symbol = memory[jnp.where(is_memory, steps, jnp.clip(steps - distance, 0, self.memory - 1))]
        return Example(
            inputs=jnp.where(is_memory, symbol + 2, jnp.where(steps == distance, ASK, 0)),
            targets=jnp.where(is_answer, symbol, 0),
            mask=steps < distance + self.memory,
            info={"scored": is_answer, "cue": is_memory, "distance": distance},
        )
