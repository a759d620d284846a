"""A sweep's jobs: who waits for whom, what comes back from a launcher, and the page about the sweep at its end."""

from pathlib import Path

import pytest
from hydra.core.utils import JobReturn

import rnnbench
from rnnbench.errors import UserError
from rnnbench.records import folders
from rnnbench.records.writer import Records
from rnnbench.sweeps.launch import run
from tests.helpers import run_sweep


def test_a_job_that_another_process_trains_is_waited_for(
    tiny: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process holds the RNN's job until the LSTM's job is done; then the RNN's job is trained too."""
    assert run_sweep(tiny, tmp_path, "model=rnn,lstm", "seed=0,1") == 0
    for folder in {Path(name) for name in rnnbench.load_runs(tmp_path).folder}:
        (folder / "metrics.parquet").unlink()
    [held] = tmp_path.glob("adding-rnn-*")
    other = Records(held, {})
    capsys.readouterr()
    looks: list[str] = []

    def is_held(folder: Path) -> bool:
        looks.append(folder.name)
        if len(looks) == 2:
            other.close()
        return folders.is_held(folder)

    monkeypatch.setattr("rnnbench.sweeps.launch.is_held", is_held)
    monkeypatch.setattr("rnnbench.sweeps.launch.time.sleep", lambda seconds: None)
    assert run_sweep(tiny, tmp_path, "model=rnn,lstm", "seed=0,1") == 0
    told = capsys.readouterr().err
    assert told.index("left for now: ") < told.index("2/2 adding lstm") < told.index("waiting for a job")
    assert looks == [held.name] * 2
    assert rnnbench.load_runs(tmp_path).status.eq("finished").all()


def test_failures_come_back_from_a_launchers_processes(
    tiny: list[str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    axes = ["model=rnn,lstm", "optimizer=sgd", "optimizer.learning_rate=1e-3,1e30", "population.max_size=1"]
    assert run_sweep(tiny, tmp_path, "launcher=joblib", "hydra.launcher.n_jobs=2", *axes) == 3
    assert "2 of 4 jobs failed" in capfd.readouterr().err
    assert sorted(rnnbench.load_runs(tmp_path).status) == ["diverged"] * 2 + ["finished"] * 2


def test_an_unknown_launcher(tiny: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_sweep(tiny, tmp_path, "launcher=loki", "seed=0") == 2
    assert "launcher: unknown option 'loki'; expected one of joblib, local, slurm" in capsys.readouterr().err


def test_a_launcher_that_fails_is_an_error() -> None:
    def launch(jobs: list[list[str]]) -> list[JobReturn]:
        raise RuntimeError("node down")

    with pytest.raises(UserError, match=r"the launcher failed \(RuntimeError: node down\); what was"):
        run([["seed=0"]], launch)


def test_a_sweep_ends_with_a_page_about_it(tiny: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tiny = [override for override in tiny if override != "report=false"]
    axes = ["optimizer=sgd", "train.clip_norm=null", "optimizer.learning_rate=1e-3,1e30"]
    assert run_sweep(tiny, tmp_path, *axes) == 3, "one diverges"
    assert f"written: {tmp_path}/report.html" in capsys.readouterr().err
    page = (tmp_path / "report.html").read_text()
    assert all(run_id in page for run_id in rnnbench.load_runs(tmp_path).run_id)
    (tmp_path / "report.html").unlink()
    assert run_sweep(tiny, tmp_path, *axes) == 3
    assert (tmp_path / "report.html").read_text() == page, "nothing was left to train"
