"""`rnnbench status` shows what is done, what is not, and what was never started."""

from pathlib import Path
from typing import Any

import pytest

from rnnbench.commands import status
from rnnbench.errors import UserError
from rnnbench.records.plans import record_plan
from rnnbench.records.writer import Records
from tests.helpers import record_job, row
from tests.records.jobs import flip


def run(run_id: str, status: str, step: int) -> dict[str, Any]:
    config = {"task.name": "adding", "model.name": "lstm", "train.steps": 100, "seed": 0}
    return row(run_id, status, step, score="mse", score_goal="min", **config)


def table(capsys: pytest.CaptureFixture[str], folder: Path) -> list[str]:
    assert status.main([str(folder)]) == 0
    return capsys.readouterr().out.splitlines()


def test_every_kind_is_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record_plan(tmp_path, {run: {"task": "adding", "model": "lstm", "steps": 100} for run in "abcdef"})
    done = [run("a", "finished", 100), run("b", "diverged", 7)]
    record_job(tmp_path / "done", done, {0: {"metrics": {"metric": "mse", "value": 0.5}}}, finish=True)
    with Records(tmp_path / "stopped", {}) as records:
        records.set_runs([run("c", "running", 40)])
    with Records(tmp_path / "busy", {}) as records:
        records.set_runs([run("d", "running", 50)])
        lines = table(capsys, tmp_path)
    assert lines[0].split() == ["runs", "finished", "diverged", "running", "interrupted", "missing", "time", "left"]
    [of_lstm] = [line for line in lines if line.startswith("Adding: LSTM")]
    assert of_lstm.split() == ["Adding:", "LSTM", "6", "1", "1", "1", "1", "2", "?"]


def test_time_left_is_that_of_the_steps_left(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Two runs did 50 steps each in 10 seconds. Their other 50 steps each and another run's 100 take 20 seconds."""
    record_plan(tmp_path, {run: {"task": "adding", "model": "lstm", "steps": 100} for run in "abc"})
    with Records(tmp_path / "job", {}) as records:
        records.start_session(0)
        records.set_runs([run("a", "running", 50), run("b", "running", 50)])
        assert records._session is not None
        records._session |= {"to_step": 50, "seconds": 10.0}
        records._write_provenance()
    [line] = [line for line in table(capsys, tmp_path) if line.startswith("all")]
    assert line.endswith("20 s")


def test_a_finished_run_is_left_to_be_trained_further_if_a_sweep_asks_for_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two of the three runs have 100 steps of 150 left out, and one diverged. They did 100 steps each in 10 s."""
    with Records(tmp_path / "job", {}) as records:
        records.start_session(0)
        rows = [run("a", "finished", 100), run("b", "finished", 100), run("c", "diverged", 7)]
        records.set_runs(rows)
        assert records._session is not None
        records._session |= {"to_step": 100, "seconds": 30.0}
        records._write_provenance()
    record_plan(tmp_path, {run: {"task": "adding", "model": "lstm", "steps": 60} for run in "abc"})
    assert table(capsys, tmp_path)[-1].split() == ["all", "3", "2", "1"]
    record_plan(tmp_path, {run: {"task": "adding", "model": "lstm", "steps": 150} for run in "abc"})
    assert table(capsys, tmp_path)[-1].split() == ["all", "3", "1", "2", "10", "s"]


def test_nothing_to_tell_of_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no records of rnnbench"):
        status.main([str(tmp_path)])
    with pytest.raises(UserError, match="there is no such folder"):
        status.main([str(tmp_path / "nowhere")])


@pytest.mark.parametrize("many", [1000, 4])
def test_damage_to_one_job_or_plan_leaves_the_others_shown(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, many: int
) -> None:
    """Also if several processes read the jobs."""
    monkeypatch.setattr(status, "MANY", many)
    (tmp_path / "sweep-0123456789ab.json").write_text('{"format": "rnnbench", "version": 1}')
    for name in "abcd":
        rows = [run(name, "finished", 100)]
        record_job(tmp_path / name, rows, {0: {"metrics": {"metric": "mse", "value": 0.5}}}, finish=True)
    flip(tmp_path / "b/runs.arrow", 99)
    (tmp_path / "c/metrics.parquet").unlink()
    (tmp_path / "d/provenance.json").unlink()
    assert status.main([str(tmp_path)]) == 0
    shown = capfd.readouterr()
    [line] = [line for line in shown.out.splitlines() if line.startswith("Adding: LSTM")]
    assert line.split() == ["Adding:", "LSTM", "3", "1", "2", "?"], "one finished, two to resume"
    for name in ("sweep-0123456789ab.json", "b/runs.arrow", "c/metrics.parquet", "d/provenance.json"):
        assert f"{tmp_path}/{name} is " in shown.err
