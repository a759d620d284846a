"""`rnnbench status` shows what is done, what is not, and what was never started."""

from pathlib import Path
from typing import Any

import pytest

from rnnbench.commands import status
from rnnbench.errors import UserError
from rnnbench.records.plans import record_plan
from rnnbench.records.writer import Records
from tests.helpers import tables_of


def row(run_id: str, kind: str, step: int) -> dict[str, Any]:
    fixed = {"solved_at": None, "diverged_at": None, "score": "mse", "score_goal": "min"}
    config = {"task.name": "adding", "model.name": "lstm", "train.steps": 100, "seed": 0}
    return {"run_id": run_id, "status": kind, "step": step, **fixed, **config}


def table(capsys: pytest.CaptureFixture[str], folder: Path) -> list[str]:
    assert status.main([str(folder)]) == 0
    return capsys.readouterr().out.splitlines()


def test_every_kind_is_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record_plan(tmp_path, {run: {"task": "adding", "model": "lstm", "steps": 100} for run in "abcdef"})
    with Records(tmp_path / "done", {}) as records:
        records.set_runs([row("a", "running", 0)])
        records.write(
            0, tables_of({"metrics": {"run_id": "a", "step": 0, "split": "test", "metric": "mse", "value": 0.5}})
        )
        records.finish([row("a", "finished", 100), row("b", "diverged", 7)])
    with Records(tmp_path / "stopped", {}) as records:
        records.set_runs([row("c", "running", 40)])
    with Records(tmp_path / "busy", {}) as records:
        records.set_runs([row("d", "running", 50)])
        lines = table(capsys, tmp_path)
    assert lines[0].split() == ["runs", "finished", "diverged", "running", "interrupted", "missing", "time", "left"]
    [of_lstm] = [line for line in lines if line.startswith("Adding: LSTM")]
    assert of_lstm.split() == ["Adding:", "LSTM", "6", "1", "1", "1", "1", "2", "?"]


def test_time_left_is_that_of_the_steps_left(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Two runs did 50 steps each in 10 seconds. Their other 50 steps each and another run's 100 take 20 seconds."""
    record_plan(tmp_path, {run: {"task": "adding", "model": "lstm", "steps": 100} for run in "abc"})
    with Records(tmp_path / "job", {}) as records:
        records.start_session(0)
        records.set_runs([row("a", "running", 50), row("b", "running", 50)])
        assert records._session is not None
        records._session |= {"to_step": 50, "seconds": 10.0}
        records._write_provenance()
    [line] = [line for line in table(capsys, tmp_path) if line.startswith("all")]
    assert line.endswith("20 s")


def test_nothing_to_tell_of_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no records of rnnbench"):
        status.main([str(tmp_path)])
    with pytest.raises(UserError, match="there is no such folder"):
        status.main([str(tmp_path / "nowhere")])
    (tmp_path / "sweep-0123456789ab.json").write_text("{")
    with pytest.raises(UserError, match="is no plan of rnnbench's"):
        status.main([str(tmp_path)])
