"""Dyck languages: brackets of several kinds, rightly nested up to a depth."""

from typing import Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int, PRNGKeyArray

from rnnbench.tasks.base import Example
from rnnbench.tasks.lengths import VariableLength
from rnnbench.tasks.symbols import NextSymbols

BRACKETS = "()[]{}<>"
Pair = tuple[Array, Array]


class Dyck(VariableLength, NextSymbols):
    """Say which brackets may come next in a string of brackets, each closed by its own kind.

    With two kinds, `(` and `[`, nested at most two deep:

        inputs   (   [ ]   )  [
        targets  ()[ ] ()[ ([ ([]

    Every opening bracket may come until the depth is reached; what may close is the last one that is open. With
    `shuffled`, kinds do not care about each other: `( [ ) ]` is a string too, and any kind that is open may close
    ("Shuffle-Dyck", Suzgun et al. 2019). One kind needs a counter, more need a stack, or a counter each if shuffled; up
    to a fixed depth, a finite state is enough (Hewitt et al. 2020). Strings are random walks: where both are possible,
    a bracket opens with probability 1/2, unless all that are open must be closed by the end.

    Lengths and scores are those of `VariableLength`; lengths are even.
    Chance: `all_right` of a model that sees the last symbol alone. The best of them is right where every bracket is
    closed at once.

    Args:
        length: the largest length in training.
        test_length: the largest length in the test set.
        kinds: number of kinds of brackets, 1 to 4.
        depth: the largest number of brackets that are open at once.
        shuffled: whether the kinds are nested independently of each other.

    Raises:
        ValueError: a length is too small, or there is no such number of kinds, or no depth.
    """

    def __init__(
        self,
        length: int = 32,
        test_length: int = 256,
        kinds: Literal[1, 2, 3, 4] = 2,
        depth: int = 4,
        shuffled: bool = False,
    ) -> None:
        if not 1 <= kinds <= len(BRACKETS) // 2:
            raise ValueError(f"kinds: expected 1 to {len(BRACKETS) // 2}, got {kinds}")
        if depth < 2:
            raise ValueError(f"depth: expected at least 2, got {depth}")
        names = BRACKETS[: 2 * kinds]
        super().__init__(length, test_length, symbols=names, answers=names, shortest=2)
        self.kinds = kinds
        self.depth = depth
        self.shuffled = shuffled

    def sequence(self, key: PRNGKeyArray, length: Int[Array, ""], size: int) -> Example:
        opens_key, kind_key = jax.random.split(key)
        length = length // 2 * 2
        walk = self._walk(jax.random.bernoulli(opens_key, 0.5, (size,)), length)
        kinds = jax.random.randint(kind_key, (size,), 0, self.kinds)
        write = self._shuffle if self.shuffled else self._nest
        inputs, closable = write(walk, kinds)
        depth = jnp.cumsum(jnp.where(walk, 1, -1))
        openable = jnp.broadcast_to((depth < self.depth)[:, None], closable.shape)
        return Example(
            inputs=inputs,
            targets=jnp.stack([openable, closable], axis=-1).reshape(size, -1),
            mask=jnp.arange(size) < length,
            info={},
        )

    def _walk(self, coins: Array, length: Int[Array, ""]) -> Array:
        """Returns whether each bracket opens."""

        def step(depth: Array, at: Pair) -> Pair:
            coin, left = at
            opens = (depth == 0) | (coin & (depth < self.depth) & (depth < left))
            return depth + jnp.where(opens, 1, -1), opens

        left = length - jnp.arange(len(coins))
        return jax.lax.scan(step, jnp.int32(0), (coins, left))[1]

    def _nest(self, walk: Array, kinds: Int[Array, " size"]) -> tuple[Int[Array, " size"], Array]:
        """Returns the brackets, and for each step which kinds may close next: the last one that is open."""
        every = jnp.arange(self.kinds)

        def step(
            state: tuple[Array, Array], at: tuple[Array, Array]
        ) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
            stack, depth = state
            opens, kind = at
            closed = stack[depth - 1]
            stack = jnp.where(opens, stack.at[depth].set(kind), stack)
            depth = depth + jnp.where(opens, 1, -1)
            closable = (depth > 0) & (every == stack[depth - 1])
            return (stack, depth), (jnp.where(opens, 2 * kind, 2 * closed + 1), closable)

        start = jnp.zeros(self.depth, kinds.dtype), jnp.int32(0)
        return jax.lax.scan(step, start, (walk, kinds))[1]

    def _shuffle(self, walk: Array, kinds: Int[Array, " size"]) -> tuple[Int[Array, " size"], Array]:
        """Returns the brackets, and for each step which kinds may close next: all that are open.

        The kind that closes is the first open one from the drawn kind on, around the circle of kinds.
        """
        every = jnp.arange(self.kinds)

        def step(counts: Array, at: Pair) -> tuple[Array, Pair]:
            opens, kind = at
            closed = (kind + jnp.argmax(jnp.roll(counts, -kind) > 0)) % self.kinds
            chosen = jnp.where(opens, kind, closed)
            counts = counts + jnp.where(every == chosen, jnp.where(opens, 1, -1), 0)
            return counts, (2 * chosen + jnp.int32(~opens), counts > 0)

        return jax.lax.scan(step, jnp.zeros_like(every), (walk, kinds))[1]

    def chance(self) -> dict[str, float]:
        return {"all_right": self.over_test_lengths(lambda length: 0.5 ** (length // 2 - 1))}
