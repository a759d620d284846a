"""`rnnbench compare` prints a comparison, writes it to files, and tunes first if it is asked to."""

from pathlib import Path

import pandas as pd
import pytest

from rnnbench.commands import compare
from rnnbench.errors import UserError
from tests.helpers import record_job, run_row


def record(folder: Path, accuracies: dict[tuple[str, float], list[float]]) -> None:
    """Records runs with seeds 0, 1, 2, ... for each cell and learning rate, all in one job."""
    rows = [
        run_row(
            cell, seed, value, run_id=f"{cell}{rate}{seed}", **{"task.name": "copy", "optimizer.learning_rate": rate}
        )
        for (cell, rate), values in accuracies.items()
        for seed, value in enumerate(values)
    ]
    record_job(folder / "job", rows, {0: {"metrics": {"value": 0.5}}}, finish=True)


def test_compare_prints_and_writes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lstm, gru = [0.5, 0.6, 0.7, 0.8, 0.9], [0.55, 0.7, 0.85, 0.95, 1.0]
    record(tmp_path, {("lstm", 0.01): lstm, ("gru", 0.01): gru, ("a|b", 0.01): [0.1] * 3})
    assert compare.main([str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    assert "Copy: accuracy, higher is better" in printed
    assert "0.5..0.9" in printed
    assert "Medians of fewer than 5 seeds have no interval" in printed
    assert "p (Holm) is corrected for the number of pairs" in printed
    text = (tmp_path / "comparison.md").read_text()
    assert "| LSTM | 0.7 | 0.5..0.9 | 0.6..0.8 | 5 | 0 | 0 (0%) |" in text
    assert r"| a\|b | 0.1 | - | 0.1..0.1 | 3 |" in text
    # p is 2 / 2^5, and the correction multiplies it by the three pairs.
    assert "| GRU - LSTM | 5 | 5 | 0 | 0 | 0.1 | 0.05..0.15 | 0.062 | 0.19 |" in text
    assert r"a\|b" in text
    table = pd.read_csv(tmp_path / "comparison.csv").set_index("line")
    assert table.loc["GRU", "median"] == 0.85
    assert len(pd.read_csv(tmp_path / "pairs.csv")) == 3


def test_compare_tunes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record(tmp_path, {("lstm", 0.001): [0.6, 0.6, 0.3], ("lstm", 0.01): [0.5, 0.5, 0.4]})
    argv = [
        str(tmp_path),
        "--tune",
        "optimizer.learning_rate",
        "--tuning-seeds",
        "0-1",
        "--output",
        str(tmp_path / "x"),
    ]
    assert compare.main(argv) == 0
    assert "chosen for each cell by the median over the tuning seeds 0, 1" in capsys.readouterr().out
    assert pd.read_csv(tmp_path / "x" / "comparison.csv")["median"].tolist() == [0.3]


def test_compare_refuses_what_it_cannot_compare(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such folder"):
        compare.main([str(tmp_path / "nowhere")])
    with pytest.raises(UserError, match="--tune and --tuning-seeds go together"):
        compare.main([str(tmp_path), "--tune", "seed"])
