"""Runs and their scores for the figures of several modules, and folders of records for the page."""

import pandas as pd
import pytest

from rnnbench.records.plans import record_plan
from tests.figures.pages import HOSTILE, record
from tests.figures.samples import VALUES, run


@pytest.fixture
def runs():
    """Returns a table of three runs of each cell."""
    return pd.DataFrame([run(model, seed) for model in VALUES for seed in range(3)])


@pytest.fixture
def scores(runs):
    """Returns scores by distance and by attractors. Those that no figure may draw are 77."""
    return pd.DataFrame(
        {"run_id": row.run_id, "step": step, "metric": "accuracy", "by": by, "low": low, "high": high,
         "value": row["final.accuracy"] / high if (step, by) == (20, "distance") else 77, "count": 8}
        for _, row in runs.iterrows() for step in (10, 20) for by in ("distance", "attractors")
        for low, high in ((3, 4), (1, 2))
    )  # fmt: skip


@pytest.fixture
def root(tmp_path):
    """Returns a folder of runs with the medians 0.5 (RNN) and 0.9 (GRU)."""
    for seed, (rnn, gru) in enumerate([(0.5, 1.0), (0.4, 0.9), (0.6, 0.7)]):
        record(tmp_path, "rnn", seed, result=rnn)
        record(tmp_path, "gru", seed, result=gru)
    return tmp_path


@pytest.fixture
def hostile(tmp_path):
    """Returns a folder of records whose names and words would run as code if they were not escaped."""
    for seed in range(2):
        record(tmp_path, HOSTILE, seed, word=HOSTILE, **{"task.name": HOSTILE, "optimizer.name": HOSTILE})
    record(tmp_path, HOSTILE, 2, word=HOSTILE, **{"task.name": HOSTILE, "optimizer.name": "adam"})
    record_plan(tmp_path, {HOSTILE: {"task": HOSTILE, "model": HOSTILE, "steps": 100}})
    return tmp_path
