"""Named entity recognition on files of the user's."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import ClassVar, Literal, NamedTuple, get_args

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from rnnbench.tasks.base import Example, Outputs, Task
from rnnbench.tasks.text.columns import TaggedSentence, read_columns
from rnnbench.tasks.text.crf import log_likelihood, viterbi
from rnnbench.tasks.text.spans import OUTSIDE, Scheme, ends, spans, split_tag, starts, tags_of
from rnnbench.tasks.text.vocabulary import UNKNOWN, Vocabulary


class _Split(NamedTuple):
    """Sentences as arrays, padded to the longest."""

    inputs: Int[np.ndarray, "sentences time ..."]
    targets: Int[np.ndarray, "sentences time"]
    lengths: Int[np.ndarray, " sentences"]


class NamedEntities(Task):
    """Find the names in sentences, and say of which kind each is.

        inputs   Ada       Lovelace  saw  Paris
        targets  B-person  I-person  O    B-location

    The files have a word and its tag on each line (see `read_columns`), in any of the schemes IO, IOB1, IOB2, IOE1,
    IOE2, BIOES and BILOU; the tags to be predicted are written in `scheme`. Training draws sentences with replacement;
    the test set has all sentences of the file that is scored, whatever its size is said to be. A word is read as its
    number in the vocabulary of the training file, 0 for an unknown one, and, if there are `buckets`, by its first three
    characters, its last three and its shape, whose embeddings are added to its own.

    The loss is the mean cross-entropy over the words of a sentence, in nats; `accuracy` is the share of right tags.
    With `crf`, the model scores each tag after each other one, and the predicted tags are the most probable sequence in
    a linear-chain conditional random field; the loss is its negative log-likelihood, divided by the number of words.

    The score `f1` is 2 R / (P + G): of P spans that the predicted tags say and G that are right, R agree in start, end
    and kind, counted over the whole test set. Predicted tags that break the scheme's rules are read as the shared task
    of CoNLL-2003 reads them. `precision` is R / P, `recall` R / G, and `f1_KIND` counts one kind alone.
    Chance: the f1 and accuracy of giving each word its most frequent tag in training, and O to one that is not there,
    which needs no memory. Solved: f1 of at least .9, about that of a bidirectional LSTM with a CRF on CoNLL-2003.

    After Huang, Xu & Yu 2015.

    Args:
        train: the file for training.
        test: the file that is scored.
        dev: a file to be scored instead of `test` while something is chosen.
        scored: which of the two is scored.
        word: the column of the words, by number from 0 or by name.
        tag: the column of the tags, by number from 0 or by name.
        scheme: how the tags to be predicted are written.
        min_count: words that are rarer in training are unknown.
        buckets: number of embeddings for starts, ends and shapes of words; none for 0.
        crf: whether the tags of a sentence are scored together.

    Raises:
        ValueError: a file is missing or wrong, a tag is none of any scheme, or a number is too small.
    """

    score: ClassVar[str] = "f1"
    score_goal: ClassVar[Literal["max", "min"]] = "max"

    def __init__(
        self,
        train: str | None = None,
        test: str | None = None,
        dev: str | None = None,
        scored: Literal["test", "dev"] = "test",
        word: int | str = 0,
        tag: int | str = -1,
        scheme: Scheme = "IOB2",
        min_count: int = 2,
        buckets: int = 2000,
        crf: bool = False,
    ) -> None:
        if scored not in ("test", "dev"):
            raise ValueError(f"scored: expected 'test' or 'dev', got {scored!r}")
        if scheme not in get_args(Scheme):
            raise ValueError(f"scheme: expected one of {', '.join(get_args(Scheme))}, got {scheme!r}")
        files = {"train": train, scored: test if scored == "test" else dev}
        for name, file in files.items():
            if file is None:
                raise ValueError(f"{name}: expected a file with words and their tags, got none")
        training, held_out = (_read(Path(str(file)).expanduser(), word, tag, scheme) for file in files.values())
        used = {tag for sentence in (*training, *held_out) for tag in sentence.tags} - {OUTSIDE}
        if not used:
            raise ValueError(f"{train}: expected the tags of some entities, got no tag but O")
        self.tags = (OUTSIDE, *sorted(used, key=lambda tag: split_tag(tag)[::-1]))
        self.kinds = sorted({split_tag(tag)[1] for tag in used})
        self.vocabulary = Vocabulary((sentence.words for sentence in training), min_count, buckets)
        self.vocab_size = self.vocabulary.size
        self.pairwise = crf
        self.out_features = len(self.tags)
        self._training, self._test = self._arrays(training), self._arrays(held_out)
        self.length = self._training.inputs.shape[1]
        self._rules = _Rules(self.tags, self.kinds)
        self._chance = _without_memory(training, held_out)

    def _arrays(self, sentences: Sequence[TaggedSentence]) -> _Split:
        lengths = np.array([len(sentence.words) for sentence in sentences], np.int32)
        ids = [self.vocabulary.ids(sentence.words) for sentence in sentences]
        inputs = np.full((len(sentences), lengths.max(), ids[0].shape[1]), UNKNOWN, np.int32)
        targets = np.zeros(inputs.shape[:2], np.int32)
        numbers = {tag: number for number, tag in enumerate(self.tags)}
        for row, (sentence, own) in enumerate(zip(sentences, ids, strict=True)):
            inputs[row, : len(own)] = own
            targets[row, : len(own)] = [numbers[tag] for tag in sentence.tags]
        return _Split(inputs if inputs.shape[2] > 1 else inputs[..., 0], targets, lengths)

    def example(self, key: PRNGKeyArray) -> Example:
        return self._sentence(self._training, jax.random.randint(key, (), 0, len(self._training.lengths)))

    def test_set(self, size: int) -> Example:
        """Returns all sentences of the file that is scored, whatever `size` is."""
        del size
        return self._sentences(np.arange(len(self._test.lengths)))

    def probe_set(self, size: int) -> Example:
        """Returns the first `size` of those sentences that are as long as the longest."""
        return self._sentences(np.flatnonzero(self._test.lengths == self._test.lengths.max())[:size])

    def _sentences(self, numbers: Int[np.ndarray, " size"]) -> Example:
        return jax.jit(jax.vmap(lambda number: self._sentence(self._test, number)))(jnp.asarray(numbers))

    def _sentence(self, split: _Split, number: Int[Array, ""]) -> Example:
        length = jnp.asarray(split.lengths)[number]
        return Example(
            inputs=jnp.asarray(split.inputs)[number],
            targets=jnp.asarray(split.targets)[number],
            mask=jnp.arange(split.inputs.shape[1]) < length,
            info={},
        )

    def loss(self, outputs: Outputs, example: Example) -> Float[Array, ""]:
        if self.pairwise:
            return -log_likelihood(outputs, example.targets, example.mask) / jnp.sum(example.mask, dtype=jnp.float32)
        losses = optax.softmax_cross_entropy_with_integer_labels(outputs, example.targets)
        return _mean(losses, example.mask)

    def metrics(self, outputs: Outputs, example: Example) -> dict[str, Float[Array, ""]]:
        """Returns the score of a sentence, and how many spans of each kind are right, predicted, and there."""
        predicted = viterbi(outputs, example.mask) if self.pairwise else jnp.argmax(outputs, axis=-1)
        counts = self._rules.count(predicted, example.targets, example.mask)
        right, found, there = (counts[name].sum() for name in ("right", "found", "there"))
        return {
            "f1": jnp.where(found + there > 0, 2 * right / jnp.maximum(found + there, 1), 1.0),
            "accuracy": _mean(jnp.float32(predicted == example.targets), example.mask),
            **{f"{name}_{kind}": own[i] for name, own in counts.items() for i, kind in enumerate(self.kinds)},
        }

    def summary(self, metrics: dict[str, np.ndarray], test_set: Example) -> dict[str, float]:
        words = np.asarray(test_set.mask).sum(axis=1)
        totals = {
            name: np.array([float(np.sum(metrics[f"{name}_{kind}"])) for kind in self.kinds])
            for name in ("right", "found", "there")
        }
        right, found, there = (totals[name].sum() for name in ("right", "found", "there"))
        return {
            "f1": _f1(right, found, there),
            "precision": float(right / max(found, 1)),
            "recall": float(right / max(there, 1)),
            "accuracy": float(np.average(metrics["accuracy"], weights=words)),
            **{f"f1_{kind}": _f1(*(totals[name][i] for name in totals)) for i, kind in enumerate(self.kinds)},
        }

    def chance(self) -> dict[str, float]:
        return self._chance

    def solved(self, summary: dict[str, float]) -> bool:
        return summary["f1"] >= 0.9

    def read_inputs(self, inputs: Int[np.ndarray, "time ..."]) -> dict[str, list[str]]:
        numbers = inputs if inputs.ndim == 1 else inputs[:, 0]
        return {"inputs": ["?" if number == UNKNOWN else self.vocabulary.words[number - 1] for number in numbers]}

    def read_targets(self, example: Example) -> list[str]:
        return [self.tags[number] for number in example.targets[example.mask]]


class _Rules:
    """Where spans start and end in predicted tags, as tables over pairs of tags: `spans` on the device."""

    def __init__(self, tags: Sequence[str], kinds: Sequence[str]) -> None:
        pairs = list(product(tags, tags))
        size = (len(tags), len(tags))
        self.starts = np.array([starts(before, tag) for before, tag in pairs]).reshape(size)
        self.ends = np.array([ends(tag, after) for tag, after in pairs]).reshape(size)
        self.kind = np.array([0 if tag == OUTSIDE else kinds.index(split_tag(tag)[1]) for tag in tags])
        self.kinds = len(kinds)

    def count(
        self, predicted: Int[Array, " time"], targets: Int[Array, " time"], mask: Bool[Array, " time"]
    ) -> dict[str, Float[Array, " kinds"]]:
        """Returns how many spans of each kind are right, found (predicted), and there (to be found)."""
        one, other = (self._spans(jnp.where(mask, tags, 0)) for tags in (predicted, targets))
        right = one[0] & other[0] & (one[1] == other[1]) & (one[2] == other[2])
        of_kind = jax.nn.one_hot(other[2], self.kinds), jax.nn.one_hot(one[2], self.kinds)
        return {
            "right": jnp.float32(right) @ of_kind[0],
            "found": jnp.float32(one[0]) @ of_kind[1],
            "there": jnp.float32(other[0]) @ of_kind[0],
        }

    def _spans(
        self, tags: Int[Array, " time"]
    ) -> tuple[Bool[Array, " time"], Int[Array, " time"], Int[Array, " time"]]:
        """Returns where spans start, and at every step where the next one ends, and the kind of its tag."""
        around = jnp.pad(tags, 1)  # the first tag is O
        start = jnp.asarray(self.starts)[around[:-2], tags]
        end = jnp.asarray(self.ends)[tags, around[2:]]
        places = jnp.where(end, jnp.arange(len(tags)), len(tags))
        return start, jax.lax.cummin(places, reverse=True), jnp.asarray(self.kind)[tags]


def _read(path: Path, word: int | str, tag: int | str, scheme: Scheme) -> list[TaggedSentence]:
    """Returns the sentences of a file, their tags written in a scheme.

    Raises:
        ValueError: the file is wrong, or a tag in it is none of any scheme; the message says in which line.
    """
    sentences = read_columns(path, word, tag)
    for sentence in sentences:
        for line, own in zip(sentence.lines, sentence.tags, strict=True):
            try:
                split_tag(own)
            except ValueError as error:
                raise ValueError(f"{path}:{line}: {error}") from error
    return [own._replace(tags=tuple(tags_of(spans(own.tags), len(own.tags), scheme))) for own in sentences]


def _without_memory(training: Sequence[TaggedSentence], test: Sequence[TaggedSentence]) -> dict[str, float]:
    """Returns what is reached by giving each word its most frequent tag in training, and O to an unknown one."""
    counts: Mapping[str, Counter[str]] = defaultdict(Counter)
    for sentence in training:
        for word, tag in zip(sentence.words, sentence.tags, strict=True):
            counts[word][tag] += 1
    # Of tags that are equally frequent, the first by name.
    known = {word: min(own.items(), key=lambda item: (-item[1], item[0]))[0] for word, own in counts.items()}
    right = found = there = same = 0
    for sentence in test:
        tags = [known.get(word, OUTSIDE) for word in sentence.words]
        predicted, expected = {*spans(tags)}, {*spans(sentence.tags)}
        right, found, there = right + len(predicted & expected), found + len(predicted), there + len(expected)
        same += sum(map(str.__eq__, tags, sentence.tags))
    return {"f1": _f1(right, found, there), "accuracy": same / sum(len(sentence.words) for sentence in test)}


def _f1(right: int | float, found: int | float, there: int | float) -> float:
    return float(2 * right / max(found + there, 1))


def _mean(values: Float[Array, " time"], mask: Bool[Array, " time"]) -> Float[Array, ""]:
    return jnp.sum(jnp.where(mask, values, 0.0)) / jnp.sum(mask, dtype=values.dtype)
