"""Rows of the record tables, on numbers small enough to see through."""

import numpy as np
import pytest

from rnnbench.training.tables import bins, columns, train_rows


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1, 2, 3, 4, 5, 8, 9, 64], [(1, 2), (3, 4), (5, 8), (9, 16), (33, 64)]),
        ([2], [(1, 2)]),
        ([65], [(65, 128)]),
    ],
)
def test_logarithmic_bins(values: list[int], expected: list[tuple[int, int]]) -> None:
    assert bins(np.array(values), logarithmic=True) == expected


def test_plain_bins() -> None:
    assert bins(np.array([3, 0, 0]), logarithmic=False) == [(0, 0), (3, 3)]


def test_train_rows_are_means_over_windows_named_by_their_last_step() -> None:
    # Steps 5..10 in windows of 4: 5-8, then 9-10, which the segment's end closes early.
    scalars = {"loss": np.array([1.0, 2.0, 3.0, 6.0, 10.0, 20.0], np.float32)}
    assert train_rows(scalars, first=5, done=10, every=4) == [(8, "loss", 3.0), (10, "loss", 15.0)]


def test_train_rows_leave_out_steps_that_were_not_done() -> None:
    scalars = {"loss": np.array([1.0, 3.0, np.nan], np.float32)}
    assert train_rows(scalars, first=1, done=2, every=10) == [(2, "loss", 2.0)]
    assert train_rows(scalars, first=5, done=4, every=10) == []


def test_columns() -> None:
    assert columns([{"a": 1, "b": 2}, {"a": 3, "b": 4}]) == {"a": [1, 3], "b": [2, 4]}
