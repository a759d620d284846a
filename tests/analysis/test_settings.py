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
