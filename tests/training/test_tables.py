"""Record tables for numbers small enough to check by eye."""

from typing import ClassVar

import numpy as np
import pyarrow as pa
import pytest
from flax import nnx

from rnnbench.cells import VanillaRNN
from rnnbench.model import Model
from rnnbench.probes import Probe
from rnnbench.tasks import Adding
from rnnbench.training.tables import bins, last_values, probe_tables, train_metrics


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


def test_train_metrics_are_means_over_windows_named_by_their_last_step() -> None:
    # Steps 5 to 10 in windows of 4: first 5-8, then 9-10, which ends early with the segment.
    scalars = {"loss": np.array([[1.0, 2.0, 3.0, 6.0, 10.0, 20.0]], np.float32)}
    rows = train_metrics(scalars, ["a"], first=5, done=[10], every=4)
    assert rows.to_pydict() == {
        "run_id": ["a", "a"], "step": [8, 10], "split": ["train"] * 2, "metric": ["loss"] * 2, "value": [3.0, 15.0],
    }  # fmt: skip
    assert last_values(rows, "train", "loss") == {"a": 15.0}


def test_train_metrics_leave_out_runs_and_steps_that_were_not_done() -> None:
    scalars = {"loss": np.array([[1.0, 3.0, np.nan], [5.0, 5.0, 5.0], [7.0, 7.0, 7.0]], np.float32)}
    rows = train_metrics(scalars, ["a", None, "c"], first=1, done=[2, 3, 3], every=10)
    assert list(zip(rows["run_id"].to_pylist(), rows["step"].to_pylist(), rows["value"].to_pylist(), strict=True)) == [
        ("a", 2, 2.0),
        ("c", 3, 7.0),
    ]
    assert train_metrics(scalars, ["a", None, None], first=5, done=[4, 4, 4], every=10).num_rows == 0


class Undeclared(Probe):
    """A probe that fills a table it does not declare."""

    name = "undeclared"
    tables: ClassVar = {"declared": {"value": pa.float64()}}

    def measure(self, model, task, batch, answer):
        return {}

    def rows(self, measured, model, task):
        return {measured: [{"value": 1.0}]}


class Headlined(Undeclared):
    """A probe with numbers for the terminal, one of which this model does not have."""

    headlines: ClassVar = {"rank": "the rank", "radius": "the radius"}

    def headline(self, measured, model):
        return {"rank": 2.0, "radius": float("nan")}


def test_headlines_are_recorded_as_metrics() -> None:
    task = Adding(4)
    model = Model(VanillaRNN, task, hidden_size=2, rngs=nnx.Rngs(0))
    found = probe_tables(Headlined(), ["declared"] * 2, model, [task] * 2, ["a", None], 3)
    assert found["metrics"].to_pylist() == [
        {"run_id": "a", "step": 3, "split": "probe", "metric": "rank", "value": 2.0},
    ]
    assert last_values(found["metrics"], "probe", "rank") == {"a": 2.0}
    assert last_values(found["metrics"], "train", "rank") == {}


def test_probes_keep_to_the_tables_that_they_declare() -> None:
    task = Adding(4)
    model = Model(VanillaRNN, task, hidden_size=2, rngs=nnx.Rngs(0))
    probe, about = Undeclared(), {"model": model, "tasks": [task], "run_ids": ["a"], "step": 3}
    found = probe_tables(probe, ["declared"], **about)
    assert found["declared"].to_pylist() == [{"run_id": "a", "step": 3, "value": 1.0}]
    with pytest.raises(ValueError, match="probe undeclared: expected rows of declared, metrics, got some of 'other'"):
        probe_tables(probe, ["other"], **about)
