"""Associative recall: values by their keys, with several queries a sequence (MQAR)."""

import jax
import jax.numpy as jnp
from jaxtyping import PRNGKeyArray

from rnnbench.tasks.base import Example
from rnnbench.tasks.symbols import SequenceLabelling


class AssociativeRecall(SequenceLabelling):
    """Read pairs of a key and its value, then give the value of each key that comes again.

    With 3 pairs; keys are k0, k1, ..., values v0, v1, ..., and other symbols stand between the queries:

        inputs   k4 v1 k0 v7 k6 v1 x k0 x x k4 x k6 x
        targets                      v7     v1   v1

    A state of fixed size can hold only so many pairs, whatever the distance. Each key is asked for once, more often
    soon than late: of the slots that are left, the query of a key falls in slot i with a probability proportional to
    (i + 1)^(power - 1), after Arora et al. 2023, who call the task "multi-query associative recall". The loss is the
    mean cross-entropy at the queries, in nats; `accuracy` is the share of them that is right, which `distance`, from a
    value to the query of its key, breaks down.
    Chance: accuracy 1 / values. A model that remembers which values came, but not for which keys, is right about once
    in `pairs` queries, so this is not the level to beat if `pairs` is small. Solved: accuracy of at least .99.

    Args:
        length: number of steps; at least 4 for each pair.
        pairs: number of keys and values to remember.
        keys: number of kinds of keys, at least `pairs`.
        values: number of kinds of values.
        power: how evenly the queries are spread: 1 is evenly, and close to 0 most come early.

    Raises:
        ValueError: a number is too small or too large.
    """

    breakdowns = ("distance",)

    def __init__(self, length: int = 64, pairs: int = 4, keys: int = 32, values: int = 32, power: float = 0.01) -> None:
        for name, value, smallest in (
            ("pairs", pairs, 1),
            ("keys", keys, pairs),
            ("values", values, 2),
            ("length", length, 4 * pairs),
        ):
            if value < smallest:
                raise ValueError(f"{name}: expected at least {smallest}, got {value}")
        if not 0 < power <= 1:
            raise ValueError(f"power: expected more than 0 and at most 1, got {power}")
        names = [f"v{i}" for i in range(values)]
        super().__init__(length, symbols=["x", *(f"k{i}" for i in range(keys)), *names], answers=names)
        self.pairs = pairs
        self.keys = keys
        self.power = power

    def example(self, key: PRNGKeyArray) -> Example:
        key_key, value_key, slot_key = jax.random.split(key, 3)
        keys = jax.random.permutation(key_key, self.keys)[: self.pairs] + 1
        values = jax.random.randint(value_key, (self.pairs,), 0, len(self.answers))
        start = 2 * self.pairs
        # The largest of log-weights with Gumbel noise are a draw without replacement (Kool et al. 2019).
        slots = (self.length - start) // 2
        weights = (self.power - 1) * jnp.log(jnp.arange(1.0, slots + 1.0))
        chosen = jax.lax.top_k(weights + jax.random.gumbel(slot_key, (slots,)), self.pairs)[1]
        places = start + 2 * chosen
        inputs = jnp.zeros(self.length, keys.dtype).at[:start:2].set(keys)
        inputs = inputs.at[1:start:2].set(values + 1 + self.keys).at[places].set(keys)
        steps = jnp.arange(self.length)
        distance = places - jnp.arange(1, start, 2)
        return Example(
            inputs=inputs,
            targets=jnp.zeros_like(inputs).at[places].set(values),
            mask=jnp.ones(self.length, bool),
            info={
                "scored": jnp.zeros(self.length, bool).at[places].set(True),
                "cue": steps < start,
                "distance": distance[jnp.argsort(places)],
            },
        )
