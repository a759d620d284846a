"""Sentence completion: a word at the start of a sentence decides a word much later."""

import math
from collections.abc import Callable, Sequence
from typing import Annotated, ClassVar, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int, PRNGKeyArray, UInt

from rnnbench.config.annotations import FOLDABLE
from rnnbench.tasks.base import TEST_SEED, Example
from rnnbench.tasks.bins import bin_ends, reach
from rnnbench.tasks.grammar import COMMA, KINDS, VOCABULARY, PhraseTable, encode, padded
from rnnbench.tasks.sentences import Completion, Predict, SentenceTask, TracedSentences

SHORTEST_DISTANCE = 2
MAX_ATTRACTORS = 4
SPAN_ACCURACY = 0.9

LOAN_SENTENCES = (
    ("today , due to my current job situation and family conditions , I", "need"),
    ("last year , due to my current job situation and family conditions , I", "had"),
)
"""The sentences shown in the README. Both have the same filler, which is held out from training."""

LOAN_DISTANCE = 13


class Choice(NamedTuple):
    """The random choices that make one sentence; the two of a minimal pair differ only in `value`."""

    kind: Int[Array, ""]
    value: Int[Array, ""]
    cue: Int[Array, ""]
    bridge: Int[Array, ""]
    ending: Int[Array, ""]
    distance: Int[Array, ""]
    filler: UInt[Array, "3 most"]


class SentenceCompletion(SentenceTask):
    """Predict each next word of English-like sentences; scored on the word that the cue at the start decides.

    There are three kinds of sentences. The cue is in capitals, the decided word in asterisks, its `distance` in
    brackets:

        tense   TODAY , due to my current job situation and family conditions , I *need* to take a loan .     (13)
                LAST YEAR , due to my current job situation and family conditions , I *had* to take a loan .  (13)
        number  the SITUATION ahead of their sisters next to the sisters *looks* good .                       (9)
        gender  the KING without their sister rather frankly quite quietly hurt *his* dog .                   (9)

    `distance` is the position of the decided word minus that of the cue's last word. It is drawn first; filler phrases
    of one to nine words then fill it exactly. Within a phrase, each word depends on the two before it, and phrases
    follow each other at random: to predict them, a model must use its state while it holds the cue. (With a loss only
    on the decided word, a vanilla RNN learns to ignore the filler, and the cells do not differ.) The filler does not
    depend on the cue, so only the cue determines the decided word. `attractors` counts the filler's words that suggest
    the counterpart of the decided word, up to 4 (4 or more): verbs of the other tense, nouns of the other number,
    persons of the other gender. A quarter of the phrases are held out for the test.

    The inputs are the sentence's words except the last, the targets all except the first:

        inputs   the  queen  frankly  taught   herself  again  _  _
        targets  queen  frankly  taught  herself  again  .     _  _
        mask      1      1       1        1        1    1      0  0

    The loss is the mean cross-entropy of a sentence's words, in nats. An answer is right (`accuracy`) if the decided
    word is more probable than its counterpart in the minimal pair, the same sentence with the cue of the other
    value. `pair_accuracy`: both sentences of a minimal pair are right. `effective_span`: the largest distance up to
    which the accuracy is at least 0.9 in every bin (1-2, 3-4, 5-8, 9-16, ...). `decided_loss`: the cross-entropy of
    the decided word.
    Chance: accuracy 1/2. A model that ignores the cue and is right on one sentence of a pair with probability p is
    right on the other with 1 - p, so on both with at most 1/4. The effective span is 0.
    Solved: effective span `max_distance`.

    After Linzen, Dupoux & Goldberg 2016 (subject-verb agreement and its attractors).

    Args:
        kinds: kinds of sentences, drawn equally often.
        max_distance: the longest distance; the shortest is 2.
        distances: how training draws distances: "log" draws a bin (1-2, 3-4, 5-8, ...), then a distance in it;
            "uniform" draws all equally often. The test set has equally many from every bin.
        distance: if given, training draws only this distance, whatever `distances` says. The test set is unchanged.

    Raises:
        ValueError: a kind or a way to draw distances that does not exist, a `max_distance` below 2, or a `distance`
            that is not between 2 and it.
    """

    score: ClassVar[str] = "accuracy"
    score_goal: ClassVar[Literal["max", "min"]] = "max"
    breakdowns = ("distance", "attractors")
    vocabulary = VOCABULARY
    vocab_size = len(VOCABULARY)
    out_features = len(VOCABULARY)
    causal = True

    def __init__(
        self,
        kinds: Sequence[str] = ("tense", "number", "gender"),
        max_distance: int = 64,
        distances: Literal["log", "uniform"] = "log",
        distance: Annotated[int | Int[Array, ""] | None, FOLDABLE] = None,
    ) -> None:
        if not kinds or not set(kinds) <= set(KINDS):
            raise ValueError(f"kinds: expected one or more of {', '.join(KINDS)}, got {', '.join(kinds) or 'none'}")
        if max_distance < SHORTEST_DISTANCE:
            raise ValueError(f"max_distance: expected at least {SHORTEST_DISTANCE}, got {max_distance}")
        if distances not in ("log", "uniform"):
            raise ValueError(f"distances: expected 'log' or 'uniform', got {distances!r}")
        if isinstance(distance, int) and not SHORTEST_DISTANCE <= distance <= max_distance:
            raise ValueError(f"distance: expected {SHORTEST_DISTANCE} to {max_distance} (max_distance), got {distance}")
        self.kinds = tuple(dict.fromkeys(kinds))
        self.distance = distance
        self.max_distance = max_distance
        self.distances = distances
        self.bin_ends = bin_ends(SHORTEST_DISTANCE, max_distance)

        rows = [KINDS[kind] for kind in self.kinds]
        self._cues = _stack([[[pair[value] for pair in kind.cues] for kind in rows] for value in (0, 1)])
        bridges = [kind.bridges or ("",) for kind in rows]
        self._bridges = _stack([np.resize(words, math.lcm(*map(len, bridges))).tolist() for words in bridges])
        self._decided = _stack([[[ending[value] for ending in kind.endings] for kind in rows] for value in (0, 1)])[
            ..., 0
        ]
        self._tails = _stack([[ending[2] for ending in kind.endings] for kind in rows])
        self._commas = np.array([kind.commas for kind in rows])
        # For each kind and word: the value, 0 or 1, that it suggests inside a filler, or -1.
        self._suggests = np.full((len(rows), len(VOCABULARY)), -1, np.int32)
        for row, kind in zip(self._suggests, rows, strict=True):
            for pair in kind.features:
                row[encode(" ".join(pair))] = 0, 1
        self._phrases = {held_out: PhraseTable.build(held_out) for held_out in (False, True)}
        self.length = self._cues.shape[-1] - 1 + max_distance + self._tails.shape[-1]

    def example(self, key: PRNGKeyArray) -> Example:
        bits = self._bits(key)
        if self.distance is not None:
            distance = jnp.int32(self.distance)
        elif self.distances == "log":
            distance = self._distance(bits[0], _number(bits[1], jnp.int32(len(self.bin_ends) - 1)))
        else:
            distance = SHORTEST_DISTANCE + _number(bits[0], jnp.int32(self.max_distance + 1 - SHORTEST_DISTANCE))
        return self._write(self._choose(bits[2:], distance), held_out=False)

    def _bits(self, key: PRNGKeyArray) -> UInt[Array, " bits"]:
        """Returns all the randomness of one example, drawn at once, since each call costs compile and run time."""
        return jax.random.bits(key, (7 + 3 * self._most,))

    @property
    def _most(self) -> int:
        """Returns the maximum number of filler words, and so of phrases."""
        return max(self.max_distance - 1, 1)

    def _distance(self, bits: UInt[Array, ""], number: Int[Array, ""]) -> Int[Array, ""]:
        """Returns a distance from a bin."""
        ends = jnp.array(self.bin_ends)
        return ends[number] + 1 + _number(bits, ends[number + 1] - ends[number])

    def _choose(self, bits: UInt[Array, " bits"], distance: Int[Array, ""]) -> Choice:
        counts = [len(self.kinds), 2, self._cues.shape[2], self._bridges.shape[1], self._tails.shape[1]]
        kind, value, cue, bridge, ending = _number(bits[:5], jnp.array(counts))
        return Choice(kind, value, cue, bridge, ending, distance, filler=bits[5:].reshape(3, -1))

    def _write(self, choice: Choice, held_out: bool) -> Example:
        kind, value, distance = choice.kind, choice.value, choice.distance
        cue = jnp.asarray(self._cues)[value, kind, choice.cue]
        bridge = jnp.asarray(self._bridges)[kind, choice.bridge]
        decided = jnp.asarray(self._decided)[:, kind, choice.ending]
        tail = jnp.asarray(self._tails)[kind, choice.ending]

        # "today I need", "today , I need", "today , frankly I need", "today , quite frankly , I need"
        between = distance - 1 - jnp.sum(bridge != 0)
        commas = jnp.asarray(self._commas)[kind]
        opening = jnp.int32(commas & (between >= 1))
        closing = jnp.int32(commas & (between >= 3))
        filler = self._fill(choice.filler, between - opening - closing, held_out)

        comma = jnp.array(encode(COMMA))
        words = self._join(
            [cue, comma * opening, filler, comma * closing, bridge, decided[value][None], tail],
        )
        answer = jnp.sum(cue != 0) - 1 + distance
        mask = words[1:] != 0
        against = jnp.asarray(self._suggests)[kind, filler] == 1 - value
        return Example(
            inputs=jnp.where(mask, words[:-1], 0),
            targets=words[1:],
            mask=mask,
            info={
                "distance": distance,
                "attractors": jnp.minimum(jnp.sum(against), MAX_ATTRACTORS),
                "kind": kind,
                "value": value,
                "answer": answer - 1,  # the step whose output is scored
                "counterpart": decided[1 - value],
            },
        )

    def _join(self, pieces: list[Int[Array, " _"]]) -> Int[Array, " positions"]:
        """Returns the pieces one after the other, without the padding between them."""
        words = jnp.concatenate(pieces)
        before = jnp.cumsum(words != 0)
        places = jnp.arange(self.length + 1)
        source = jnp.searchsorted(before, places + 1, method="compare_all")
        return jnp.where(places < before[-1], words[jnp.minimum(source, words.shape[0] - 1)], 0)

    def _fill(self, bits: UInt[Array, "3 most"], size: Int[Array, ""], held_out: bool) -> Int[Array, " most"]:
        """Returns random phrases with `size` words in all, padded. Lengths are equally likely; the last is cut to fit.

        Since there are phrases of every length, all can be drawn at once.
        """
        phrases = self._phrases[held_out]
        most = self._most
        longest = phrases.words.shape[1]
        ends = jnp.minimum(jnp.cumsum(_number(bits[0], jnp.full(most, longest)) + 1), size)
        starts = jnp.concatenate([jnp.zeros(1, ends.dtype), ends[:-1]])
        lengths = ends - starts
        group = jnp.asarray(phrases.group_start)[lengths] + _number(bits[1], jnp.asarray(phrases.group_count)[lengths])
        rows = jnp.asarray(phrases.row_start)[group] + _number(bits[2], jnp.asarray(phrases.row_count)[group])

        places = jnp.arange(most)
        phrase = jnp.minimum(jnp.searchsorted(ends, places, side="right", method="compare_all"), most - 1)
        words = jnp.asarray(phrases.words)[rows[phrase], jnp.minimum(places - starts[phrase], longest - 1)]
        return jnp.where(places < size, words, 0)

    def loss(self, outputs: Float[Array, "time out"], example: Example) -> Float[Array, ""]:
        losses = optax.softmax_cross_entropy_with_integer_labels(outputs, example.targets)
        return jnp.sum(jnp.where(example.mask, losses, 0.0)) / jnp.sum(example.mask, dtype=losses.dtype)

    def probe_loss(self, outputs: Float[Array, "time out"], example: Example) -> Float[Array, ""]:
        """Returns the cross-entropy of the decided word only."""
        answer = example.info["answer"]
        return optax.softmax_cross_entropy_with_integer_labels(outputs[answer], example.targets[answer])

    def metrics(self, outputs: Float[Array, "time out"], example: Example) -> dict[str, Float[Array, ""]]:
        answer = example.info["answer"]
        logits = outputs[answer]
        right = logits[example.targets[answer]] > logits[example.info["counterpart"]]
        return {"accuracy": jnp.float32(right), "decided_loss": self.probe_loss(outputs, example)}

    def chance(self) -> dict[str, float]:
        return {"accuracy": 1 / 2, "pair_accuracy": 1 / 4, "effective_span": 0.0}

    def solved(self, summary: dict[str, float]) -> bool:
        return summary["effective_span"] >= self.max_distance

    def test_set(self, size: int) -> Example:
        """Returns minimal pairs, one after the other, with held-out phrases; distance bins and kinds alternate."""
        bins = len(self.bin_ends) - 1

        def pair(key: PRNGKeyArray, number: Int[Array, ""]) -> Example:
            bits = self._bits(key)
            choice = self._choose(bits[2:], self._distance(bits[0], number % bins))
            return self._pair(choice._replace(kind=number // bins % len(self.kinds)))

        return self._pairs(pair, size)

    def probe_set(self, size: int) -> Example:
        """Returns minimal pairs at the longest distance whose cues are equally long, so that time steps line up."""
        sizes = np.sum(self._cues[0] != 0, axis=-1)
        longest = jnp.array([np.resize(np.flatnonzero(row == sizes.max()), row.size) for row in sizes])

        def pair(key: PRNGKeyArray, number: Int[Array, ""]) -> Example:
            choice = self._choose(self._bits(key)[2:], jnp.int32(self.max_distance))
            kind = number % len(self.kinds)
            return self._pair(choice._replace(kind=kind, cue=longest[kind, choice.cue]))

        return self._pairs(pair, size)

    def _pair(self, choice: Choice) -> Example:
        return jax.vmap(lambda value: self._write(choice._replace(value=value), held_out=True))(jnp.arange(2))

    def _pairs(self, pair: Callable[[PRNGKeyArray, Int[Array, ""]], Example], size: int) -> Example:
        keys = jax.random.split(jax.random.key(TEST_SEED), (size + 1) // 2)
        pairs = jax.jit(jax.vmap(pair))(keys, jnp.arange(len(keys)))
        return jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:])[:size], pairs)

    def summary(self, metrics: dict[str, np.ndarray], test_set: Example) -> dict[str, float]:
        right = np.asarray(metrics["accuracy"])
        span = reach(right, np.asarray(test_set.info["distance"]), self.bin_ends, SPAN_ACCURACY)
        both = right[: len(right) // 2 * 2].reshape(-1, 2).all(axis=1)
        return super().summary(metrics, test_set) | {
            "pair_accuracy": float(np.mean(both)) if both.size else float("nan"),
            "effective_span": float(span),
        }

    def traced_sentences(self) -> TracedSentences:
        """Returns the loan sentences up to the decided word.

        There are none if the task has no sentences about tense, or none of that distance.
        """
        prompts = [prompt for prompt, _ in LOAN_SENTENCES]
        if "tense" not in self.kinds or self.max_distance < LOAN_DISTANCE:
            prompts = []
        sizes = np.array([len(encode(prompt)) for prompt in prompts], int)
        inputs = np.zeros((len(prompts), self.length), np.int32)
        if prompts:
            words = padded(prompts)
            inputs[:, : words.shape[1]] = words
        mask = np.arange(self.length)[None, :] < sizes[:, None]
        return TracedSentences(inputs, mask, [prompt.split() for prompt in prompts])

    def showcase(self, predict: Predict) -> list[Completion]:
        """Returns, for each loan sentence, the probabilities of "need" and of "had".

        The two count as the only choices: their probabilities add up to 1. The list is empty if the task has no
        sentences about tense, or none of that distance.
        """
        inputs, mask, words = self.traced_sentences()
        if not words:
            return []
        sizes = mask.sum(axis=1)
        outputs = np.asarray(predict(jnp.asarray(inputs), jnp.asarray(mask)))
        forms = [form for _, form in LOAN_SENTENCES]
        logits = outputs[np.arange(len(sizes)), sizes - 1][:, encode(" ".join(forms))]
        probabilities = np.asarray(jax.nn.softmax(logits))
        return [
            Completion(prompt, form, float(probability), correct=form == right)
            for (prompt, right), row in zip(LOAN_SENTENCES, probabilities, strict=True)
            for form, probability in zip(forms, row, strict=True)
        ]

    def read_inputs(self, inputs: Int[np.ndarray, " time"]) -> dict[str, list[str]]:
        return {"inputs": [self.vocabulary[word] for word in inputs]}

    def read_targets(self, example: Example) -> list[str]:
        """Returns the decided word at the step after which it comes."""
        steps = range(int(example.mask.sum()))
        return [self.vocabulary[example.targets[t]] if t == example.info["answer"] else "" for t in steps]

    def render(self, example: Example) -> str:
        """Returns the sentence of one example, as text."""
        mask = np.asarray(example.mask)
        words = [example.inputs[0], *np.asarray(example.targets)[mask]]
        return " ".join(self.vocabulary[int(word)] for word in words)


def _number(bits: UInt[Array, "*axes"], count: Int[Array, "*axes"]) -> Int[Array, "*axes"]:
    """Returns a number from 0 to `count` - 1 from 32 random bits, several times cheaper than `jax.random.randint`."""
    return jnp.int32(bits % jnp.uint32(count))


def _stack(texts: Sequence[object]) -> Int[np.ndarray, "*axes words"]:
    """Returns the ids of the words of nested lists of texts, padded."""
    array = np.array(texts, dtype=str)
    return padded(list(array.ravel())).reshape(*array.shape, -1)
