"""The embedded Reber grammar."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, PRNGKeyArray

from rnnbench.tasks.base import TEST_SEED, Example
from rnnbench.tasks.symbols import NextSymbols

CANDIDATES = 32
"""For each string of the probe set, so many are drawn; a sixth or so have the most frequent length."""

SYMBOLS = "BTPSXVE"
INNER = {0: {"B": 1}, 1: {"T": 2, "P": 3}, 2: {"S": 2, "X": 4}, 3: {"T": 3, "V": 5}, 4: {"X": 3, "S": 6}}
INNER |= {5: {"P": 4, "V": 6}, 6: {"E": 7}}
"""The Reber grammar: from each state, the symbols that may come next and the states after them; 7 is its end."""


class EmbeddedReber(NextSymbols):
    """Say which symbols may come next in a string of the embedded Reber grammar.

    A string of the Reber grammar, such as BTXSE, stands between B T and T E, or between B P and P E:

        inputs   B  T B  T  X  S E T E
        targets  TP B TP SX XS E T E

    Which of T and P comes last but one depends on the second symbol; all else depends on the symbols just before. The
    inner grammar may repeat symbols, so the lag differs; strings longer than `length` are avoided, by leaving out
    symbols after which no string would be short enough. The last E has no answer.

    A step is right if all symbols that may come next are told from all others. The loss is the mean cross-entropy of a
    yes or no for each symbol, in nats; `accuracy` is the share of right steps, `all_right` whether all are, and
    `last_right` whether the one is that takes the memory.
    Chance: `all_right` 1/2, for a model that knows the inner grammar and guesses between T and P.
    Solved: `all_right` of at least .99.

    Experiment 1 of Hochreiter & Schmidhuber 1997, after Smith & Zipser 1989 and Cleeremans et al. 1989; there, half of
    512 strings are for training and half for the test, and the answers are the two most active outputs.

    Args:
        length: the largest number of symbols, at least 9.

    Raises:
        ValueError: `length` is too small.
    """

    breakdowns = ("distance",)

    def __init__(self, length: int = 40) -> None:
        if length < 9:
            raise ValueError(f"length: expected at least 9, got {length}")
        super().__init__(length, symbols=SYMBOLS, answers=SYMBOLS)
        states, moves = _machine()
        self._moves = moves
        self._least = _shortest_ways(moves)
        self._end = states - 1

    def example(self, key: PRNGKeyArray) -> Example:
        moves, least = jnp.asarray(self._moves), jnp.asarray(self._least)

        def step(state: Array, at: tuple[Array, Array]) -> tuple[Array, tuple[Array, Array, Array]]:
            noise, left = at
            follows = moves[state]
            allowed = (follows >= 0) & (least[follows] < left)  # -1 reads the last entry, which `follows` rules out
            symbol = jnp.argmax(jnp.where(allowed, noise, -1.0))
            after = jnp.where(state == self._end, state, follows[symbol])
            return after, (symbol, moves[after] >= 0, state != self._end)

        noise = jax.random.uniform(key, (self.length, len(SYMBOLS)))
        left = self.length - jnp.arange(self.length)
        _, (symbols, may_follow, mask) = jax.lax.scan(step, jnp.int32(0), (noise, left))
        length = jnp.sum(mask)
        steps = jnp.arange(self.length)
        # The last symbol has no successor. Its step is padding, so that nothing is asked.
        mask &= steps < length - 1
        return Example(
            inputs=jnp.where(mask, symbols, 0),
            targets=may_follow,
            mask=mask,
            info={"cue": steps == 1, "answer": length - 3, "distance": length - 4},
        )

    def probe_set(self, size: int) -> Example:
        """Returns strings of the most frequent length."""
        many = jax.vmap(self.example)(jax.random.split(jax.random.key(TEST_SEED), CANDIDATES * size))
        lengths = jnp.sum(many.mask, axis=1)
        common = jnp.argmax(jnp.bincount(lengths, length=self.length + 1))
        chosen = jnp.argsort(lengths != common)[:size]
        return jax.tree.map(lambda leaf: leaf[chosen], many)

    def probe_loss(self, outputs: Float[Array, "time out"], example: Example) -> Float[Array, ""]:
        """Returns the loss of the step whose answer takes the memory."""
        answer = example.info["answer"]
        may_follow = jnp.float32(example.targets[answer])
        return jnp.mean(optax.sigmoid_binary_cross_entropy(outputs[answer], may_follow))

    def metrics(self, outputs: Float[Array, "time out"], example: Example) -> dict[str, Float[Array, ""]]:
        answer = example.info["answer"]
        right = jnp.all((outputs[answer] > 0) == example.targets[answer])
        return super().metrics(outputs, example) | {"last_right": jnp.float32(right)}

    def chance(self) -> dict[str, float]:
        return {"all_right": 1 / 2, "last_right": 1 / 2}


def _machine() -> tuple[int, np.ndarray]:
    """Returns the number of states, and for each state and symbol the next state, or -1."""
    inner = len(INNER)  # states of the inner grammar before its end
    # 0 -B-> 1 -T-> upper inner grammar -T-> before, -P-> lower inner grammar -P-> before, before -E-> end
    starts = {"T": 2, "P": 2 + inner + 1}
    before = 2 + 2 * (inner + 1)
    moves = np.full((before + 2, len(SYMBOLS)), -1, np.int32)
    moves[0, SYMBOLS.index("B")] = 1
    for branch, start in starts.items():
        moves[1, SYMBOLS.index(branch)] = start
        for state, following in INNER.items():
            for symbol, after in following.items():
                moves[start + state, SYMBOLS.index(symbol)] = start + after
        moves[start + inner, SYMBOLS.index(branch)] = before
    moves[before, SYMBOLS.index("E")] = before + 1
    return before + 2, moves


def _shortest_ways(moves: np.ndarray) -> np.ndarray:
    """Returns the smallest number of symbols from each state to the end."""
    least = np.full(len(moves), len(moves), np.int32)
    least[-1] = 0
    for _ in moves:
        for state, following in enumerate(moves[:-1]):
            least[state] = 1 + min(least[after] for after in following if after >= 0)
    return least
