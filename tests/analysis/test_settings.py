"""Settings are labelled by what differs between them."""

import pandas as pd

from rnnbench.analysis.settings import label_runs
from tests.helpers import run_row


def test_settings_are_told_apart_by_what_differs_within_a_cell():
    rates = [("rnn", 0.1), ("gru", 0.01), ("gru", 1.0)]
    rows = [run_row(cell, seed, 0.5, **{"optimizer.learning_rate": rate}) for seed in range(2) for cell, rate in rates]
    rows += [run_row("mine", 0, 0.5, **{"task.name": "adding", "task.length": length}) for length in (50, 100)]
    compared = label_runs(pd.DataFrame(rows))
    assert compared["line"].tolist() == ["RNN", "GRU, learning rate 0.01", "GRU, learning rate 1"] * 2 + ["mine"] * 2
    assert compared["panel"].tolist() == ["Copy memory"] * 6 + ["Adding, length 50", "Adding, length 100"]
    assert compared["chance"].tolist() == [0.25] * 8


def test_an_option_stands_for_what_it_implies() -> None:
    """A schedule is named, and of its numbers only what differs among runs with that schedule."""
    kinds = [
        {},
        {"schedule.name": "cosine", "schedule.steps": 9, "schedule.warmup": 0.0},
        {"schedule.name": "cosine", "schedule.steps": 9, "schedule.warmup": 3.0},
        {"schedule.name": "step", "schedule.every": 5},
    ]
    runs = pd.DataFrame([run_row("gru", 0, 0.5, **kind, run_id=str(number)) for number, kind in enumerate(kinds)])
    assert label_runs(runs)["line"].tolist() == [
        "GRU, schedule none",
        "GRU, schedule cosine, warmup 0",
        "GRU, schedule cosine, warmup 3",
        "GRU, schedule step",
    ]
