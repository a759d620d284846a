"""Named entity recognition: what is read from files, how spans are scored, and the level without memory."""

import random
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnnbench.tasks import NamedEntities
from rnnbench.tasks.text.spans import spans
from rnnbench.tasks.text.vocabulary import Vocabulary
from rnnbench.testing import check_task

WNUT = Path(__file__).parents[3] / "shared" / "data" / "wnut17"
TRAIN = "Ada B-per\nLovelace I-per\nsaw O\nParis B-loc\n\nParis B-loc\nsaw O\nAda B-per\n"
TEST = "Ada B-per\nsaw O\nRome B-loc\n\nLovelace B-per\nand O\nAda B-per\nwere O\nin O\nParis B-loc\n"


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    for name, text in {"train": TRAIN, "test": TEST}.items():
        (tmp_path / name).write_text(text)
    return {name: str(tmp_path / name) for name in ("train", "test")}


@pytest.mark.parametrize(("buckets", "ids", "crf"), [(0, (), False), (50, (4,), False), (0, (), True)])
def test_contract(files: dict[str, str], buckets: int, ids: tuple[int, ...], crf: bool) -> None:
    task = NamedEntities(**files, min_count=1, buckets=buckets, crf=crf)
    check_task(task)
    assert task.tags == ("O", "B-loc", "B-per", "I-per")
    assert task.test_set(1).inputs.shape == (2, 6, *ids)
    assert (task.length, task.vocab_size) == (4, 5 + buckets)
    assert task.probe_set(9).mask.sum(axis=1).tolist() == [6]


def test_what_a_person_reads(files: dict[str, str]) -> None:
    task = NamedEntities(**files, min_count=2)
    one = jax.tree.map(lambda leaf: np.asarray(leaf)[0], task.test_set(1))
    assert task.read_inputs(one.inputs[one.mask]) == {"inputs": ["Ada", "saw", "?"]}
    assert task.read_targets(one) == ["B-per", "O", "B-loc"]


def test_other_schemes_are_converted(files: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "iob1").write_text(TRAIN.replace("B-", "I-"))
    for scheme, tags in {
        "IOB2": ("O", "B-loc", "B-per", "I-per"),
        "BIOES": ("O", "S-loc", "B-per", "E-per", "S-per"),
        "IO": ("O", "I-loc", "I-per"),
    }.items():
        task = NamedEntities(str(tmp_path / "iob1"), files["test"], scheme=scheme)
        assert task.tags == tags
        assert task.chance() == NamedEntities(**files, scheme=scheme).chance()


def test_the_level_without_memory(files: dict[str, str]) -> None:
    """Ada is B-per, Paris B-loc, Lovelace I-per, which reads as a span of its own; Rome is not known."""
    assert NamedEntities(**files).chance() == pytest.approx({"f1": 2 * 4 / (4 + 5), "accuracy": 7 / 9})


def counted(predicted: list[str], expected: list[str]) -> tuple[int, int, int]:
    one, other = {*spans(predicted)}, {*spans(expected)}
    return len(one & other), len(one), len(other)


@pytest.mark.parametrize("scheme", ["IO", "IOB2", "IOE1", "BIOES", "BILOU"])
def test_spans_are_counted_on_the_device_as_in_plain_python(files: dict[str, str], scheme: str) -> None:
    """Random tags, among them those that break the rules, in sentences of all lengths."""
    task = NamedEntities(**files, scheme=scheme)
    generator = random.Random(0)
    for _ in range(60):
        length = generator.randint(1, 8)
        predicted, expected = ([generator.choice(task.tags) for _ in range(length)] for _ in range(2))
        expected = [own if generator.random() < 0.3 else other for own, other in zip(expected, predicted, strict=True)]
        numbers = [np.pad([task.tags.index(tag) for tag in tags], (0, 8 - length)) for tags in (predicted, expected)]
        # What is predicted at padded steps does not count.
        padded = np.where(np.arange(8) < length, numbers[0], generator.randrange(len(task.tags)))
        example = task.example(jax.random.key(0))._replace(
            targets=jnp.asarray(numbers[1]), mask=jnp.arange(8) < length, inputs=jnp.zeros(8, int)
        )
        found = task.metrics(jax.nn.one_hot(padded, len(task.tags)), example)
        totals = tuple(sum(int(found[f"{name}_{kind}"]) for kind in task.kinds) for name in ("right", "found", "there"))
        assert totals == counted(predicted, expected)


def test_the_score_counts_spans_over_all_sentences(files: dict[str, str]) -> None:
    task = NamedEntities(**files)
    whole = task.test_set(1)
    # The first sentence is right, and of the second only Paris is, beside a span that is none.
    tags = [["B-per", "O", "B-loc", *["O"] * 3], ["O", "B-loc", "O", "O", "O", "B-loc"]]
    outputs = jax.nn.one_hot(jnp.array([[task.tags.index(tag) for tag in own] for own in tags]), len(task.tags))
    metrics = jax.tree.map(np.asarray, jax.vmap(task.metrics)(outputs, whole))
    summary = task.summary(metrics, jax.tree.map(np.asarray, whole))
    assert summary["precision"] == pytest.approx(3 / 4)
    assert summary["recall"] == pytest.approx(3 / 5)
    assert summary["f1"] == pytest.approx(2 * 3 / (4 + 5))
    assert summary["f1_loc"] == pytest.approx(2 * 2 / (3 + 2))
    assert summary["f1_per"] == pytest.approx(2 * 1 / (1 + 3))
    assert summary["accuracy"] == pytest.approx(6 / 9)
    assert not task.solved(summary)


def test_words_that_training_has_not_seen_share_parts_with_those_it_has() -> None:
    vocabulary = Vocabulary([["London", "Londoner", "saw"], ["saw"]], min_count=1, buckets=10_000)
    assert vocabulary.words == ["saw", "London", "Londoner"]
    assert vocabulary.ids(["saw", "saw"])[:, 0].tolist() == [1, 1]
    known, new = vocabulary.ids(["Londoner", "Londinium"])
    assert new[0] == 0
    assert (known[1:] == new[1:]).tolist() == [True, False, True]  # start and shape
    assert vocabulary.ids(["McD42"]).max() < vocabulary.size
    assert Vocabulary([["a", "b", "a"]], min_count=2).words == ["a"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"train": None}, "train: expected a file with words and their tags, got none"),
        ({"test": None}, "test: expected a file with words and their tags, got none"),
        ({"scored": "dev"}, "dev: expected a file with words and their tags, got none"),
        ({"min_count": 0}, "min_count: expected at least 1, got 0"),
        ({"buckets": -1}, "buckets: expected at least 0, got -1"),
        ({"tag": 0}, "train:1: expected O, or B, I, E, S, L or U .*, got 'Ada'"),
    ],
)
def test_wrong_arguments_are_named(files: dict[str, str], options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        NamedEntities(**{**files, **options})


def test_files_without_entities_are_named(tmp_path: Path) -> None:
    (tmp_path / "none").write_text("a O\nb O\n")
    with pytest.raises(ValueError, match="none: expected the tags of some entities, got no tag but O"):
        NamedEntities(str(tmp_path / "none"), str(tmp_path / "none"))


@pytest.mark.skipif(not WNUT.is_dir(), reason="needs the data of WNUT-17")
def test_wnut_without_memory() -> None:
    task = NamedEntities(str(WNUT / "wnut17train.conll"), str(WNUT / "emerging.test.annotated"))
    assert len(task.kinds) == 6
    assert task.chance()["f1"] == pytest.approx(0.060, abs=0.001)
    assert sum(len(spans([task.tags[i] for i in row])) for row in np.asarray(task.test_set(1).targets)) == 1079
