"""Memorization: facts that are the same in every sequence."""

import jax
import jax.numpy as jnp
from jaxtyping import PRNGKeyArray

from rnnbench.tasks.base import TEST_SEED, Example
from rnnbench.tasks.symbols import SequenceLabelling


class Memorization(SequenceLabelling):
    """Give the value of each key; which value belongs to which key never changes and is never shown.

        inputs   k4 k0 k6 k0
        targets  v1 v7 v1 v7

    It asks what the parameters hold, not what the state holds, and so needs no memory of the sequence at all: the
    counterpart of associative recall. The loss is the mean cross-entropy, in nats; `accuracy` is the share of right
    values.
    Chance: the accuracy of always naming the most frequent value, and the cross-entropy of the values' frequencies.
    Solved: accuracy of at least .99.

    After the memorization task of MAD (Poli et al. 2024).

    Args:
        length: number of keys in a sequence.
        keys: number of kinds of keys.
        values: number of kinds of values.

    Raises:
        ValueError: a number is too small.
    """

    def __init__(self, length: int = 32, keys: int = 256, values: int = 16) -> None:
        for name, value, smallest in (("length", length, 1), ("keys", keys, 2), ("values", values, 2)):
            if value < smallest:
                raise ValueError(f"{name}: expected at least {smallest}, got {value}")
        names = [f"v{i}" for i in range(values)]
        super().__init__(length, symbols=[f"k{i}" for i in range(keys)], answers=names)
        self._facts = jax.random.randint(jax.random.key(TEST_SEED), (keys,), 0, values)

    def example(self, key: PRNGKeyArray) -> Example:
        keys = jax.random.randint(key, (self.length,), 0, len(self.symbols))
        real = jnp.ones(self.length, bool)
        return Example(inputs=keys, targets=self._facts[keys], mask=real, info={"scored": real})

    def chance(self) -> dict[str, float]:
        frequency = jnp.bincount(self._facts, length=len(self.answers)) / len(self._facts)
        loss = -jnp.sum(jnp.where(frequency > 0, frequency * jnp.log(jnp.maximum(frequency, 1e-9)), 0.0))
        return {"loss": float(loss), "accuracy": float(frequency.max())}
