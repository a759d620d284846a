"""Names whose kind depends on words far before them."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int, PRNGKeyArray

from rnnbench.tasks.base import Example, GrowingTask, fixed_batch
from rnnbench.tasks.symbols import SequenceClassification

NAMES = ("Paris", "Sydney", "Florence", "Austin", "Georgia", "Victoria", "Lincoln", "Jordan")
CUES = {
    "person": ("daughter", "brother", "author", "neighbour"),
    "place": ("capital", "harbour", "island", "village"),
}
CUE_WORDS = CUES["person"] + CUES["place"]
FILLERS = ("many", "people", "came", "from", "far", "away", "to", "see", "what", "was", "new", *CUE_WORDS)
NAME, CUE = 0, 3
"""Their places in the introduction."""
INTRODUCTION = ("Paris", ",", "the", "daughter", ",")
SYMBOLS = tuple(dict.fromkeys((*NAMES, *INTRODUCTION, *FILLERS)))


class AmbiguousNames(GrowingTask, SequenceClassification):
    """Say whether a name is that of a person or of a place; every name may be either.

        inputs   Paris , the daughter , many came to see harbour author what was new Paris
        target                                                                      person

    A name is introduced by a cue, and after 1 to `distance` other words, as many as drawn evenly, it comes again. Cues
    of both kinds are among the other words too, so neither the name nor the set of all words tells the kind. The loss
    is the cross-entropy after the last word, in nats; `accuracy` is the share of right answers, which `distance`, from
    the cue to the second mention, breaks down.
    Chance: accuracy 1/2. Solved: accuracy of at least .99.

    Args:
        distance: the largest number of words between the introduction and the last name.

    Raises:
        ValueError: `distance` is too small.
    """

    breakdowns = ("distance",)

    def __init__(self, distance: int = 64) -> None:
        if distance < 1:
            raise ValueError(f"distance: expected at least 1, got {distance}")
        super().__init__(len(INTRODUCTION) + distance + 1, symbols=SYMBOLS, answers=[*CUES])
        self.curriculum = (1, distance)

    def example_up_to(self, key: PRNGKeyArray, longest: Int[Array, ""]) -> Example:
        wait_key, key = jax.random.split(key)
        return self._after(key, jax.random.randint(wait_key, (), 1, longest + 1))

    def probe_set(self, size: int) -> Example:
        """Returns examples with the largest distance."""
        return fixed_batch(lambda key: self._after(key, jnp.int32(self.curriculum[1])), size)

    def _after(self, key: PRNGKeyArray, wait: Int[Array, ""]) -> Example:
        name_key, cue_key, filler_key = jax.random.split(key, 3)
        name = jax.random.choice(name_key, _ids(NAMES))
        cue = jax.random.randint(cue_key, (), 0, len(CUE_WORDS))
        introduction = _ids(INTRODUCTION).at[NAME].set(name).at[CUE].set(_ids(CUE_WORDS)[cue])
        fillers = jax.random.choice(filler_key, _ids(FILLERS), (self.length - len(INTRODUCTION),))
        steps = jnp.arange(self.length)
        last = len(INTRODUCTION) + wait
        mask = steps <= last
        inputs = jnp.concatenate([introduction, fillers]).at[last].set(name)
        return Example(
            inputs=jnp.where(mask, inputs, 0),
            targets=jnp.int32(cue >= len(CUES["person"])),
            mask=mask,
            info={"distance": last - CUE, "cue": steps == CUE},
        )


def _ids(words: Sequence[str]) -> Int[Array, " words"]:
    return jnp.array([SYMBOLS.index(word) for word in words])
