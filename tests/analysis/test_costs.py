"""Runs that cost about the same are compared with each other."""

import json
from pathlib import Path

import pandas as pd
import pytest

from rnnbench.analysis.costs import alike, costs
from rnnbench.analysis.tables import load_runs
from rnnbench.commands import compare
from rnnbench.errors import UserError
from rnnbench.records.seals import sealed_json
from tests.helpers import record_job, run_row


def record(folder: Path, parameters: dict[str, int]) -> None:
    """Records two seeds of each cell in a job of its own."""
    for number, (cell, size) in enumerate(parameters.items()):
        rows = [run_row(cell, seed, 0.5 + 0.1 * number, **{"size.parameters": size}) for seed in (0, 1)]
        record_job(folder / cell, rows, {0: {"metrics": {"value": 0.5}}}, finish=True)


def test_costs_that_differ_by_at_most_a_quarter_are_alike() -> None:
    groups = alike(pd.Series([100.0, 126.0, 125.0, 80.0, float("nan"), 100.0]))
    assert groups.tolist() == [0, 1, 1, 0, 2, 0], "each group starts at its smallest cost"


def test_cells_are_compared_at_about_equal_parameters(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record(tmp_path, {"rnn": 990, "lstm": 1010, "gru": 16200})
    assert compare.main([str(tmp_path), "--by", "parameters"]) == 0
    small, large = capsys.readouterr().out.split("Copy memory, 16200 parameters: accuracy")
    assert "Copy memory, 990 to 1010 parameters: accuracy" in small
    assert "LSTM - RNN" in small
    assert "GRU" not in small
    assert "LSTM" not in large


def test_the_seconds_of_a_job_are_shared_by_its_runs(tmp_path: Path) -> None:
    record(tmp_path, {"rnn": 990, "lstm": 1010})
    for cell, seconds in (("rnn", [4.0, 2.0]), ("lstm", [8.0])):
        path = tmp_path / cell / "provenance.json"
        provenance = json.loads(path.read_text())
        [session] = provenance["sessions"]
        provenance["sessions"] = [{**session, "seconds": own} for own in seconds]
        path.write_bytes(sealed_json(provenance))
    found = costs(load_runs(tmp_path), "seconds")
    assert found.to_dict() == {"rnn0": 3, "rnn1": 3, "lstm0": 4, "lstm1": 4}


def test_runs_without_the_cost_are_refused(tmp_path: Path) -> None:
    record(tmp_path, {"rnn": 990})
    with pytest.raises(UserError, match="--by state_size: expected runs that have recorded their numbers in the state"):
        compare.main([str(tmp_path), "--by", "state_size"])
