import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnnbench.tasks import SentenceCompletion
from rnnbench.tasks.base import Example
from rnnbench.tasks.grammar import FORMS, KINDS, VOCABULARY, encode, phrases
from rnnbench.tasks.sentence_completion import LOAN_SENTENCES
from rnnbench.testing import check_task

SIZE = 12_000


@pytest.fixture(scope="module")
def task() -> SentenceCompletion:
    return SentenceCompletion(max_distance=32)


@pytest.fixture(scope="module")
def training(task) -> Example:
    batch = jax.jit(jax.vmap(task.example))(jax.random.split(jax.random.key(1), SIZE))
    return jax.tree.map(np.asarray, batch)


@pytest.fixture(scope="module")
def test_pairs(task) -> Example:
    return jax.tree.map(np.asarray, task.test_set(6_000))


def item(batch: Example, number: int) -> Example:
    return jax.tree.map(lambda leaf: leaf[number], batch)


def whole(batch: Example) -> np.ndarray:
    """Returns all words of the sentences, including the first."""
    return np.concatenate([batch.inputs[:, :1], batch.targets], axis=1)


def filler_words(task: SentenceCompletion, example: Example) -> list[str]:
    """Returns one sentence's words between the cue and the bridge, without the commas around them."""
    kind = KINDS[task.kinds[example.info["kind"]]]
    words = task.render(example).split()
    end = int(example.info["answer"]) + 1 - bool(kind.bridges)
    start = int(example.info["answer"]) + 2 - int(example.info["distance"])
    between = words[start:end]
    return [word for i, word in enumerate(between) if word != "," or 0 < i < len(between) - 1]


def test_contract():
    check_task(SentenceCompletion(max_distance=5))


@pytest.mark.parametrize("name", ["training", "test_pairs"])
def test_distance_is_the_number_of_words_from_the_cue_to_the_decided_word(task, name, request):
    batch = request.getfixturevalue(name)
    for number in range(300):
        example = item(batch, number)
        kind = KINDS[task.kinds[example.info["kind"]]]
        text = task.render(example)
        value, answer = int(example.info["value"]), int(example.info["answer"])
        cue = next(pair[value] for pair in kind.cues if text.startswith(pair[value] + " "))
        words = text.split()
        assert answer + 1 - (len(cue.split()) - 1) == example.info["distance"]
        decided, counterpart = words[answer + 1], VOCABULARY[example.info["counterpart"]]
        pair = (decided, counterpart) if value == 0 else (counterpart, decided)
        assert (*pair, " ".join(words[answer + 2 :])) in kind.endings
        if kind.bridges:
            assert words[answer] in kind.bridges
        assert len(words) == example.mask.sum() + 1  # the sentence fits into the length


def test_all_distances_occur_and_bins_equally_often(training, test_pairs):
    for batch, tolerance in ((training, 0.015), (test_pairs, 1e-3)):
        distance = batch.info["distance"]
        assert set(distance.tolist()) == set(range(2, 33))
        shares = np.histogram(distance, bins=[1.5, 2.5, 4.5, 8.5, 16.5, 32.5])[0] / len(distance)
        np.testing.assert_allclose(shares, 0.2, atol=tolerance)


def test_uniform_distances():
    task = SentenceCompletion(max_distance=9, distances="uniform")
    batch = jax.jit(jax.vmap(task.example))(jax.random.split(jax.random.key(1), 4_000))
    np.testing.assert_allclose(np.bincount(batch.info["distance"])[2:], 500, atol=100)


@pytest.mark.parametrize("longest", [11, 12])
def test_longest_sentence_fills_the_length(longest):
    task = SentenceCompletion(kinds=("tense",), max_distance=longest)
    probe = task.probe_set(64)
    assert (probe.info["distance"] == longest).all()
    assert probe.mask.sum(1).max() == task.length


@pytest.mark.parametrize("name", ["training", "test_pairs"])
def test_labels_are_balanced_in_every_cell_of_distance_and_attractors(name, request):
    info = request.getfixturevalue(name).info
    bins = np.ceil(np.log2(info["distance"])).astype(int)
    chi_square, cells = 0.0, 0
    for kind in range(3):
        for low in np.unique(bins):
            for attractors in range(5):
                inside = (info["kind"] == kind) & (bins == low) & (info["attractors"] == attractors)
                if inside.sum() >= 20:
                    ones = info["value"][inside].sum()
                    chi_square += (2 * ones - inside.sum()) ** 2 / inside.sum()
                    cells += 1
    assert cells >= 30
    # If each cell were a fair coin toss, the mean would be `cells` and the standard deviation sqrt(2 cells).
    assert chi_square < cells + 5 * np.sqrt(2 * cells)


def test_attractors_are_the_fillers_words_for_the_counterpart(task, training):
    seen = set()
    for number in range(300):
        example = item(training, number)
        features = KINDS[task.kinds[example.info["kind"]]].features
        against = [pair[1 - int(example.info["value"])] for pair in features]
        count = sum(word in against for word in filler_words(task, example))
        assert example.info["attractors"] == min(count, 4)
        seen.add(min(count, 4))
    assert seen == {0, 1, 2, 3, 4}


def test_minimal_pairs_have_the_same_filler_and_another_cue(task, test_pairs):
    words = whole(test_pairs)
    np.testing.assert_array_equal(test_pairs.info["value"], np.tile([0, 1], 3_000))
    for name in ("distance", "kind", "answer"):
        np.testing.assert_array_equal(test_pairs.info[name][::2], test_pairs.info[name][1::2])
    for number in range(0, 400, 2):
        answer = int(test_pairs.info["answer"][number])
        cue_end = answer + 2 - int(test_pairs.info["distance"][number])
        different = set(np.flatnonzero(words[number] != words[number + 1]).tolist())
        assert answer + 1 in different
        assert different - {answer + 1} <= set(range(cue_end))
        assert test_pairs.info["counterpart"][number] == words[number + 1, answer + 1]
        assert filler_words(task, item(test_pairs, number)) == filler_words(task, item(test_pairs, number + 1))


def test_training_and_test_fillers_are_disjoint(task, training, test_pairs):
    fillers = [
        {" ".join(filler_words(task, item(batch, number))) for number in range(3_000)}
        for batch in (training, test_pairs)
    ]
    assert fillers[0] & fillers[1] <= {""}
    phrase_split = [{text for form in FORMS for held, text in phrases(form) if held == kept} for kept in (False, True)]
    for texts, own, other in zip(fillers, phrase_split, reversed(phrase_split), strict=True):
        short = {text for text in texts if 0 < len(text.split()) <= 2}
        assert short & own  # including single phrases
        assert not texts & other


def naive_bayes(train: np.ndarray, train_labels: np.ndarray, test: np.ndarray) -> np.ndarray:
    """Predicts labels from counts of features, `(examples, features)`."""
    logs = [np.log(train[train_labels == value].sum(0) + 1.0) for value in (0, 1)]
    logs = [log - np.log(np.exp(log).sum()) for log in logs]
    return test @ (logs[1] - logs[0]) > 0


def test_no_shortcut_works_and_the_cue_decides(task, training, test_pairs):
    def features(batch: Example, which: str) -> np.ndarray:
        words, answer = whole(batch), batch.info["answer"]
        places = np.arange(words.shape[1])[None, :]
        cue_end = (answer + 2 - batch.info["distance"])[:, None]
        size = len(VOCABULARY)
        rows = np.arange(len(words))[:, None]
        if which == "filler":  # the frequencies of its words
            counts = np.zeros((len(words), size))
            np.add.at(counts, (rows, words), (places >= cue_end) & (places <= answer[:, None]))
            return counts
        if which == "last words":  # the three words before the decision, each with its position
            counts = np.zeros((len(words), 3, size))
            for back in range(3):
                position = answer - back
                inside = position >= cue_end[:, 0]
                counts[rows[:, 0], back, words[rows[:, 0], np.maximum(position, 0)]] = inside
            return counts.reshape(len(words), -1)
        counts = np.zeros((len(words), size))
        np.add.at(counts, (rows, words), places < cue_end)
        return counts

    right = {}
    for which in ("filler", "last words", "cue"):
        predicted = naive_bayes(features(training, which), training.info["value"], features(test_pairs, which))
        right[which] = np.mean(predicted == test_pairs.info["value"])
    # Both sentences of a pair have the same filler, so these predictions cannot be right for both. Also look for leaks
    # between fillers and labels in data without pairs.
    for which in ("filler", "last words"):
        half = SIZE // 2
        seen = features(training, which)
        labels = training.info["value"]
        right[f"training {which}"] = np.mean(naive_bayes(seen[:half], labels[:half], seen[half:]) == labels[half:])
    assert right["cue"] == 1
    assert right["filler"] == right["last words"] == 0.5
    assert abs(right["training filler"] - 0.5) < 0.025
    assert abs(right["training last words"] - 0.5) < 0.025


def test_render_of_known_sentences(task, training):
    """Changing these sentences changes every result, so only do it on purpose."""
    assert [task.render(item(training, number)) for number in (3, 2, 11, 19)] == [
        "the king very often taught himself .",
        "the situation ahead of their sisters next to the sisters looks good .",
        "this year , because of our job situations and family conditions while you saw , I live in a village .",
        "the king without their sister rather frankly quite quietly hurt his dog .",
    ]


def test_loan_sentences_have_known_words_and_an_unseen_filler(task, training):
    for prompt, form in LOAN_SENTENCES:
        encode(f"{prompt} {form} to take a loan .")
    phrase = " ".join(map(str, encode("due to my current job situation and family conditions")))
    assert not any(phrase in " ".join(map(str, row)) for row in whole(training))


def test_showcase_reads_the_two_probabilities_after_the_prompt(task):
    def predict(inputs, mask):
        assert inputs.shape == mask.shape == (2, task.length)
        prompts = [" ".join(VOCABULARY[word] for word in row[real]) for row, real in zip(inputs, mask, strict=True)]
        assert prompts == [prompt for prompt, _ in LOAN_SENTENCES]
        outputs = np.zeros((2, task.length, task.out_features), np.float32)
        last = np.asarray(mask).sum(1) - 1
        outputs[[0, 1], last, encode("need need")] = np.log([3.0, 4.0])
        return jnp.asarray(outputs)

    rows = task.showcase(predict)
    assert [(row.continuation, row.correct) for row in rows] == [
        ("need", True),
        ("had", False),
        ("need", False),
        ("had", True),
    ]
    np.testing.assert_allclose([row.probability for row in rows], [0.75, 0.25, 0.8, 0.2], rtol=1e-5)


@pytest.mark.parametrize("small", [SentenceCompletion(("gender",), 16), SentenceCompletion(("tense",), 12)])
def test_no_showcase_where_the_loan_sentences_are_outside_the_task(small):
    assert small.showcase(lambda inputs, mask: jnp.zeros((*inputs.shape, small.out_features))) == []
    assert small.traced_sentences().inputs.shape == small.traced_sentences().mask.shape == (0, small.length)


def test_traced_sentences_are_the_loan_sentences_up_to_the_decided_word(task):
    inputs, mask, words = task.traced_sentences()
    assert inputs.shape == mask.shape == (2, task.length)
    assert [[VOCABULARY[word] for word in row[real]] for row, real in zip(inputs, mask, strict=True)] == words
    assert [" ".join(sentence) for sentence in words] == [prompt for prompt, _ in LOAN_SENTENCES]


def test_loss_leaves_the_padding_out(task, training):
    example = jax.tree.map(jnp.asarray, item(training, 0))
    outputs = np.zeros((task.length, task.out_features), np.float32)
    assert task.loss(jnp.asarray(outputs), example) == pytest.approx(np.log(len(VOCABULARY)), rel=1e-5)
    outputs[~np.asarray(example.mask)] = np.random.default_rng(0).normal(size=outputs[~np.asarray(example.mask)].shape)
    assert task.loss(jnp.asarray(outputs), example) == pytest.approx(np.log(len(VOCABULARY)), rel=1e-5)
    assert task.probe_loss(jnp.asarray(outputs), example) == pytest.approx(np.log(len(VOCABULARY)), rel=1e-5)


def test_accuracy_is_against_the_counterpart_alone(task, training):
    example = jax.tree.map(jnp.asarray, item(training, 0))
    answer = int(example.info["answer"])
    outputs = np.zeros((task.length, task.out_features), np.float32)
    outputs[answer, example.targets[answer]] = 1.0
    outputs[answer, encode(",")] = 5.0
    assert task.metrics(jnp.asarray(outputs), example)["accuracy"] == 1
    outputs[answer, example.info["counterpart"]] = 2.0
    assert task.metrics(jnp.asarray(outputs), example)["accuracy"] == 0


def test_effective_span_and_pair_accuracy(task, test_pairs):
    size = len(test_pairs.inputs)
    right = np.ones(size, np.float32)
    perfect = task.summary({"accuracy": right}, test_pairs)
    assert perfect == {"accuracy": 1.0, "pair_accuracy": 1.0, "effective_span": 32.0}
    assert task.solved(perfect)

    short = np.float32((test_pairs.info["distance"] <= 8) | (test_pairs.info["value"] == 0))
    summary = task.summary({"accuracy": short}, test_pairs)
    np.testing.assert_allclose(summary["accuracy"], 0.8, atol=1e-3)
    np.testing.assert_allclose(summary["pair_accuracy"], 0.6, atol=1e-3)
    assert summary["effective_span"] == 8
    assert not task.solved(summary)

    gap = np.float32(test_pairs.info["distance"] != 2)  # right at all distances except 2, so the span is 0
    assert task.summary({"accuracy": gap}, test_pairs)["effective_span"] == 0


def test_guessing_gets_a_quarter_of_the_pairs_right(task, test_pairs):
    guesses = np.random.default_rng(0).integers(2, size=(200, len(test_pairs.inputs))).astype(np.float32)
    shares = [task.summary({"accuracy": guess}, test_pairs)["pair_accuracy"] for guess in guesses]
    assert task.chance()["pair_accuracy"] == pytest.approx(np.mean(shares), abs=0.01)


def test_probe_set_lines_up_in_time(task):
    probe = task.probe_set(12)
    assert (probe.info["distance"] == 32).all()
    assert len(np.unique(probe.info["answer"])) == 1
    assert np.unique(probe.info["kind"]).tolist() == [0, 1, 2]


def test_odd_and_tiny_test_sets(task):
    assert len(task.test_set(5).inputs) == 5
    single = jax.tree.map(np.asarray, task.test_set(1))
    assert np.isnan(task.summary({"accuracy": np.ones(1, np.float32)}, single)["pair_accuracy"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"kinds": ["tense", "mood"]}, "kinds: expected one or more of tense, number, gender, got tense, mood"),
        ({"kinds": []}, "kinds: expected one or more of tense, number, gender, got none"),
        ({"max_distance": 1}, "max_distance: expected at least 2, got 1"),
        ({"max_distance": 8, "distance": 9}, r"distance: expected 2 to 8 \(max_distance\), got 9"),
        ({"max_distance": 8, "distance": 1}, r"distance: expected 2 to 8 \(max_distance\), got 1"),
        ({"distances": "long"}, "distances: expected 'log' or 'uniform', got 'long'"),
    ],
)
def test_impossible_arguments_are_named(arguments, message):
    unchecked = inspect.unwrap(SentenceCompletion.__init__)  # skips the tests' type checker
    with pytest.raises(ValueError, match=message):
        unchecked(object.__new__(SentenceCompletion), **arguments)
