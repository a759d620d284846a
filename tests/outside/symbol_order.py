"""A task of your own: how an example is drawn, how an answer is scored, and what chance reaches."""

import jax
import jax.numpy as jnp
import optax
from jax import Array

from rnnbench.tasks import Example, Task


class SymbolOrder(Task):
    """Temporal order, after experiment 6a of Hochreiter & Schmidhuber (1997).

    Each half holds one X or Y, elsewhere stand distractors; which two, in their order, is the class. With `length` 8:

        a X c d | b a Y d       class XY, one of XX, XY, YX and YY
    """

    vocab_size = 6  # X, Y, a, b, c, d
    out_features = 4
    last_step_only = True
    score = "accuracy"
    score_goal = "max"
    breakdowns = ("distance",)

    def __init__(self, length: int = 50) -> None:
        if length < 2:
            raise ValueError(f"length: expected at least 2, got {length}")
        self.length = length

    def example(self, key: Array) -> Example:
        place_key, symbol_key, distractor_key = jax.random.split(key, 3)
        half = self.length // 2
        places = jax.random.randint(place_key, (2,), 0, half) + jnp.array([0, half])
        symbols = jax.random.randint(symbol_key, (2,), 0, 2)
        distractors = jax.random.randint(distractor_key, (self.length,), 2, 6)
        return Example(
            inputs=distractors.at[places].set(symbols),
            targets=2 * symbols[0] + symbols[1],
            mask=jnp.ones(self.length, bool),
            info={"distance": self.length - places[0]},
        )

    def loss(self, outputs: Array, example: Example) -> Array:
        return optax.softmax_cross_entropy_with_integer_labels(outputs, example.targets)

    def metrics(self, outputs: Array, example: Example) -> dict[str, Array]:
        return {"accuracy": jnp.float32(jnp.argmax(outputs) == example.targets)}

    def chance(self) -> dict[str, float]:
        return {"accuracy": 1 / 4}

    def solved(self, summary: dict[str, float]) -> bool:
        return summary["accuracy"] > 0.99
