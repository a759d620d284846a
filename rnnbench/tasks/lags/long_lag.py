"""Long lags: the last symbol is one of the first, with or without noise between them."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int, PRNGKeyArray

from rnnbench.tasks.base import Example, fixed_batch
from rnnbench.tasks.symbols import SequenceClassification

MOST_EXTRA = 40
"""Noisy sequences are at most that much longer than `length`; in the paper, one in 70 is still longer."""


class LongLag(SequenceClassification):
    """Say at the end which of two symbols, x or y, came at the start.

    Without noise, what stands between is always the same, and there are just two sequences (experiment 2a):

        inputs   y a1 a2 a3 ... a99
        target                    y

    With noise (2c), distractors are drawn from `length` kinds, `b` starts the sequence and `e` asks for the answer;
    after `length` distractors, each further one comes with probability .9, up to 40:

        inputs   b y a7 a2 a93 ... a40 e
        target                         y

    `distance` is the number of steps from the symbol to the end. The loss is the cross-entropy after the last symbol,
    in nats; `accuracy` is the share of right answers. In the paper, the network predicts every next symbol, and only
    the last one counts.
    Chance: accuracy 1/2. Solved: accuracy of at least .99.

    Experiments 2a and 2c of Hochreiter & Schmidhuber 1997 (2a after Mozer 1992).

    Args:
        length: the smallest number of symbols between the first and the last, and of their kinds.
        noisy: whether they are drawn at random.

    Raises:
        ValueError: `length` is too small.
    """

    breakdowns = ("distance",)

    def __init__(self, length: int = 100, noisy: bool = False) -> None:
        if length < 1:
            raise ValueError(f"length: expected at least 1, got {length}")
        names = ["x", "y", "b", "e", *(f"a{i}" for i in range(1, length + 1))]
        super().__init__(length + 3 + MOST_EXTRA if noisy else length + 1, symbols=names, answers="xy")
        self.kinds = length
        self.noisy = noisy

    def example(self, key: PRNGKeyArray) -> Example:
        symbol_key, noise_key, extra_key = jax.random.split(key, 3)
        symbol = jax.random.randint(symbol_key, (), 0, 2)
        if not self.noisy:
            inputs = jnp.concatenate([symbol[None], jnp.arange(self.kinds) + 4])
            return self._read(symbol, inputs, 0, jnp.int32(self.length))
        ends = jax.random.bernoulli(extra_key, 0.1, (MOST_EXTRA,))
        extra = jnp.where(jnp.any(ends), jnp.argmax(ends), MOST_EXTRA)
        return self._noise(noise_key, symbol, extra)

    def probe_set(self, size: int) -> Example:
        """Returns sequences of the smallest length."""
        if not self.noisy:
            return super().probe_set(size)

        def shortest(key: PRNGKeyArray) -> Example:
            symbol_key, noise_key = jax.random.split(key)
            return self._noise(noise_key, jax.random.randint(symbol_key, (), 0, 2), jnp.int32(0))

        return fixed_batch(shortest, size)

    def _noise(self, key: PRNGKeyArray, symbol: Int[Array, ""], extra: Int[Array, ""]) -> Example:
        inputs = jax.random.randint(key, (self.length,), 4, self.kinds + 4).at[0].set(2).at[1].set(symbol)
        length = self.kinds + extra + 3
        inputs = jnp.where(jnp.arange(self.length) == length - 1, 3, inputs)
        return self._read(symbol, inputs, 1, length)

    def _read(self, symbol: Int[Array, ""], inputs: Int[Array, " time"], at: int, length: Int[Array, ""]) -> Example:
        steps = jnp.arange(self.length)
        mask = steps < length
        return Example(
            inputs=jnp.where(mask, inputs, 0),
            targets=symbol,
            mask=mask,
            info={"distance": length - 1 - at, "cue": steps == at},
        )
