"""Sequences of one's own: what is read from files, and what is said about files that are not as described."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rnnbench.tasks import UserData
from rnnbench.testing import check_task

TOKENS = np.random.default_rng(0).integers(0, 5, (60, 7))
CLASSES = TOKENS[:, 0] % 3
LENGTHS = np.resize([7, 4, 6], 60)


def write(path: Path, **columns: np.ndarray) -> str:
    np.savez(path, **columns)
    return str(path)


def test_an_archive_of_tokens_with_a_class_each(tmp_path: Path) -> None:
    training = write(tmp_path / "train.npz", inputs=TOKENS, targets=CLASSES, lengths=LENGTHS)
    test = write(tmp_path / "test.npz", inputs=TOKENS[:30, :6] + 1, targets=CLASSES[:30], lengths=np.resize([6, 4], 30))
    task = UserData(training, test, lengths="lengths")
    check_task(task)
    assert (task.length, task.vocab_size, task.out_features, task.last_step_only) == (7, 6, 3, True)
    whole = task.test_set(3)
    np.testing.assert_array_equal(whole.inputs, TOKENS[:30, :6] + 1)
    assert whole.mask.sum(axis=1).tolist() == np.resize([6, 4], 30).tolist()
    assert task.probe_set(4).mask.all()
    frequency = np.bincount(CLASSES[:30]) / 30
    assert task.chance() == pytest.approx({"accuracy": frequency.max(), "loss": -np.sum(frequency * np.log(frequency))})


def test_an_archive_of_features_with_a_target_at_every_step(tmp_path: Path) -> None:
    values = np.random.default_rng(1).normal(size=(40, 5))
    path = write(tmp_path / "series.npz", x=values, y=2 * values + 1)
    task = UserData(path, path, inputs="x", targets="y")
    check_task(task)
    assert (task.in_features, task.vocab_size, task.score, task.last_step_only) == (1, None, "mse", False)
    assert task.chance()["mse"] == pytest.approx(np.var(2 * values + 1), rel=1e-5)


def test_lists_of_parquet_may_differ_in_length(tmp_path: Path) -> None:
    rows = [row[:length].tolist() for row, length in zip(TOKENS, LENGTHS, strict=True)]
    path = str(tmp_path / "some.parquet")
    pq.write_table(pa.table({"inputs": rows, "targets": rows}), path)
    task = UserData(path, path)
    check_task(task)
    assert task.test_set(1).mask.sum(axis=1).tolist() == LENGTHS.tolist()
    # Each sequence counts the same, and each of its real steps.
    shares = np.mean([np.bincount(row, minlength=5) / len(row) for row in rows], axis=0)
    assert task.chance()["accuracy"] == pytest.approx(shares.max())
    features = [[[0.5, 1.5]] * length for length in LENGTHS]
    pq.write_table(pa.table({"inputs": features, "targets": CLASSES.tolist()}), path)
    assert UserData(path, path).in_features == 2


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"inputs": TOKENS}, "there is no column 'targets'"),
        ({"inputs": TOKENS, "targets": CLASSES[:9]}, "targets: expected one for each of 60 sequences, .* shape"),
        ({"inputs": TOKENS - 1, "targets": CLASSES}, "inputs: whole numbers are ids from 0 on, got -1"),
        ({"inputs": TOKENS * 1e300, "targets": CLASSES}, "inputs: expected finite numbers within 32 bits"),
        ({"inputs": np.full((3, 2), np.nan), "targets": CLASSES[:3]}, "inputs: expected finite numbers"),
        ({"inputs": TOKENS[0], "targets": CLASSES}, r"inputs: expected \(sequences, time\) or .*, got \(7,\)"),
        ({"inputs": np.array(["a"]), "targets": CLASSES}, "inputs: expected numbers, got <U1"),
        ({"inputs": TOKENS[:0], "targets": CLASSES[:0]}, r"inputs: expected .* got \(0, 7\)"),
    ],
)
def test_wrong_columns_are_named(tmp_path: Path, columns: dict[str, np.ndarray], message: str) -> None:
    path = write(tmp_path / "some.npz", **columns)
    with pytest.raises(ValueError, match=message):
        UserData(path, path)


def test_wrong_files_are_named(tmp_path: Path) -> None:
    good = write(tmp_path / "good.npz", inputs=TOKENS, targets=CLASSES)
    objects = write(tmp_path / "objects.npz", inputs=np.array([{}, []], dtype=object), targets=CLASSES)
    (tmp_path / "text.npz").write_text("no archive")
    (tmp_path / "text.parquet").write_text("no table")
    (tmp_path / "text.csv").write_text("1,2")
    for path, message in (
        (objects, "not a NumPy archive of numbers"),
        (str(tmp_path / "text.npz"), "not a NumPy archive of numbers"),
        (str(tmp_path / "text.parquet"), "not a Parquet file"),
        (str(tmp_path / "text.csv"), r"expected a \.npz or \.parquet file"),
        (str(tmp_path / "none.npz"), "there is no file"),
    ):
        with pytest.raises(ValueError, match=message):
            UserData(good, path)
    with pytest.raises(ValueError, match=r"test_path: expected a \.npz or \.parquet file, got none"):
        UserData(good)
    long = write(tmp_path / "long.npz", inputs=TOKENS, targets=CLASSES, lengths=LENGTHS + 1)
    with pytest.raises(ValueError, match=r"lengths: expected a number from 1 to 7"):
        UserData(long, long, lengths="lengths")
    other = write(tmp_path / "other.npz", inputs=TOKENS / 2, targets=CLASSES)
    with pytest.raises(ValueError, match="inputs: expected the same kind of values in both files"):
        UserData(good, other)
