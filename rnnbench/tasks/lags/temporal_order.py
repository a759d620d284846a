"""Temporal order: in which order two or three symbols came."""

from typing import Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int, PRNGKeyArray

from rnnbench.tasks.base import Example, fixed_batch
from rnnbench.tasks.symbols import SequenceClassification

WINDOWS = {2: ((0.1, 0.2), (0.5, 0.6)), 3: ((0.1, 0.2), (0.33, 0.43), (0.66, 0.76))}
"""Where each relevant symbol may stand, as shares of `length`."""


class TemporalOrder(SequenceClassification):
    """Say in which order the symbols X and Y came, far apart among distractors a, b, c and d.

    `E` starts a sequence and `B` ends it. With 2 relevant symbols:

        inputs   E c X a d c b Y a b d B
        target                        XY       one of XX, XY, YX, YY

    Sequences have `length` to 1.1 `length` symbols and are padded at their end. At length 100, the relevant symbols
    stand at 10-20 and 50-60, or, if there are three, at 10-20, 33-43 and 66-76; other lengths have places in
    proportion. `distance` is the number of steps from the first of them to the end. The loss is the cross-entropy after
    the last symbol, in nats; `accuracy` is the share of right answers.
    Chance: accuracy 1/4, or 1/8 with three relevant symbols. Solved: accuracy of at least .99.

    Experiments 6a and 6b of Hochreiter & Schmidhuber 1997, who have a sigmoid unit for each class and call an answer
    right if no unit is off by more than .3.

    Args:
        length: the smallest number of symbols.
        relevant: how many relevant symbols there are, 2 or 3.

    Raises:
        ValueError: `length` is too small, or `relevant` is neither 2 nor 3.
    """

    breakdowns = ("distance",)

    def __init__(self, length: int = 100, relevant: Literal[2, 3] = 2) -> None:
        if relevant not in WINDOWS:
            raise ValueError(f"relevant: expected 2 or 3, got {relevant}")
        if length < 10:
            raise ValueError(f"length: expected at least 10, got {length}")
        classes = [format(number, f"0{relevant}b").replace("0", "X").replace("1", "Y") for number in range(2**relevant)]
        super().__init__(length + length // 10, symbols="EBXYabcd", answers=classes)
        self.shortest = length
        self.relevant = relevant
        self._windows = tuple((round(low * length), round(high * length)) for low, high in WINDOWS[relevant])

    def example(self, key: PRNGKeyArray) -> Example:
        length_key, key = jax.random.split(key)
        return self._of_length(key, jax.random.randint(length_key, (), self.shortest, self.length + 1))

    def probe_set(self, size: int) -> Example:
        """Returns sequences of the smallest length."""
        return fixed_batch(lambda key: self._of_length(key, jnp.int32(self.shortest)), size)

    def _of_length(self, key: PRNGKeyArray, length: Int[Array, ""]) -> Example:
        place_key, symbol_key, distractor_key = jax.random.split(key, 3)
        lows, highs = jnp.array(self._windows).T
        places = jax.random.randint(place_key, (self.relevant,), lows, highs + 1)
        symbols = jax.random.randint(symbol_key, (self.relevant,), 0, 2)
        steps = jnp.arange(self.length)
        inputs = jax.random.randint(distractor_key, (self.length,), 4, 8).at[places].set(2 + symbols)
        inputs = jnp.where(steps == 0, 0, jnp.where(steps == length - 1, 1, inputs))
        mask = steps < length
        return Example(
            inputs=jnp.where(mask, inputs, 0),
            targets=jnp.sum(symbols << jnp.arange(self.relevant)[::-1]),
            mask=mask,
            info={"distance": length - places[0], "cue": jnp.zeros(self.length, bool).at[places].set(True)},
        )
