"""n-back: whether a symbol is the one of n steps before."""

import jax
import jax.numpy as jnp
from jaxtyping import PRNGKeyArray

from rnnbench.tasks.base import Example
from rnnbench.tasks.recall.base import letters
from rnnbench.tasks.symbols import SequenceLabelling


class NBack(SequenceLabelling):
    """At every step, say whether the symbol is the same as `back` steps before.

    With 2 back:

        inputs   b a b c b c
        targets      = ! = =

    It is the same with probability 1/2, otherwise any other. The loss is the mean cross-entropy of the steps that have
    an answer, in nats; `accuracy` is the share of them that is right. `distance`, the same for all, is `back`.
    Chance: accuracy 1/2. Solved: accuracy of at least .99.

    A test of human working memory (Kirchner 1958).

    Args:
        length: number of steps, more than `back`.
        back: how many steps before.
        alphabet: number of kinds of symbols.

    Raises:
        ValueError: a number is too small.
    """

    breakdowns = ("distance",)

    def __init__(self, length: int = 64, back: int = 4, alphabet: int = 8) -> None:
        for name, value, smallest in (("back", back, 1), ("length", length, back + 1), ("alphabet", alphabet, 2)):
            if value < smallest:
                raise ValueError(f"{name}: expected at least {smallest}, got {value}")
        super().__init__(length, symbols=letters(alphabet), answers="!=")
        self.back = back
        self.alphabet = alphabet

    def example(self, key: PRNGKeyArray) -> Example:
        same_key, other_key = jax.random.split(key)
        rows = -(-self.length // self.back)  # each holds `back` steps, so the step of interest is in the row before
        same = jax.random.bernoulli(same_key, 0.5, (rows, self.back))
        other = jax.random.randint(other_key, (rows, self.back), 1, self.alphabet)
        first = jax.random.randint(jax.random.fold_in(other_key, 0), (self.back,), 0, self.alphabet)
        moves = jnp.where(same, 0, other).at[0].set(first)
        symbols = (jnp.cumsum(moves, axis=0) % self.alphabet).reshape(-1)[: self.length]
        return Example(
            inputs=symbols,
            targets=jnp.int32(same.reshape(-1)[: self.length]),
            mask=jnp.ones(self.length, bool),
            info={"scored": jnp.arange(self.length) >= self.back, "distance": jnp.int32(self.back)},
        )
