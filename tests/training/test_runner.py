"""Whole runs: what they record, how they resume after a kill, and what they do with existing records."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np
import pandas as pd
import pytest

import rnnbench
from rnnbench.config.identity import run_id
from rnnbench.config.schema import Config
from rnnbench.errors import DivergedError, UserError
from rnnbench.records.writer import Records
from rnnbench.training import runner
from rnnbench.training.checkpoints import Checkpoints
from rnnbench.training.program import Program, program
from rnnbench.training.step import RunState

Compose = Callable[..., Config]
ROOT = Path(__file__).parents[2]
RECORDS = ("runs.arrow", "metrics.parquet", "scores.parquet", "gradient_flow.parquet")


@pytest.fixture
def output(tmp_path: Path) -> str:
    return str(tmp_path / "results")


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in RECORDS}


def test_a_run_records_itself(compose: Compose, output: str) -> None:
    config = compose(f"output={output}", "train.steps=10", "train.log_every=2", "seed=7")
    [row] = runner.train(config)
    runs = rnnbench.load_runs(output)
    [run] = runs.to_dict("records")
    assert run["run_id"] == run_id(config) == row["run_id"]
    assert (run["status"], run["step"], run["seed"], run["model.hidden_size"]) == ("finished", 10, 7, 4)
    assert run["chance.mse"] == pytest.approx(1 / 6)
    metrics = rnnbench.load_metrics(output)
    train, test = (metrics[metrics.split == split] for split in ("train", "test"))
    assert sorted(test.step.unique()) == [0, 4, 8, 10]
    assert sorted(train.step.unique()) == [2, 4, 6, 8, 10]
    last = test[(test.step == 10) & (test.metric == "mse")].value.item()
    assert last == run["final.mse"]
    scores = rnnbench.load_scores(output)
    final = scores[scores.step == 10]
    assert np.average(final.value, weights=final["count"]) == pytest.approx(last), "the breakdown adds up to the whole"
    flow = rnnbench.load_table(output, "gradient_flow")
    assert len(flow) == 4 * 2 * config.task["length"], "four evaluations of h and c"
    assert (flow[flow.state == "h"].norm > 0).all()
    assert (flow[(flow.state == "c") & (flow.time == flow.time.max())].norm == 0).all(), "c acts through h there"


def test_a_finished_run_is_not_trained_again(
    compose: Compose, output: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config = compose(f"output={output}")
    first = runner.train(config)
    folder = next(Path(output).iterdir())
    before = bytes_of(folder)
    capsys.readouterr()
    with monkeypatch.context() as patch:
        patch.setattr(runner, "Session", None)
        assert runner.train(config) == first
    assert "finished before" in capsys.readouterr().err
    config.overwrite = True
    runner.train(config)
    assert bytes_of(folder) == before, "the same run trained again gives the same bytes"
    sessions = json.loads((folder / "provenance.json").read_text())["sessions"]
    assert [(s["from_step"], s["to_step"]) for s in sessions] == [(0, 8)]


@pytest.mark.parametrize("diverging", [False, True])
@pytest.mark.parametrize("method", ["finish", "_clean_up"])
def test_a_crash_while_it_finishes_loses_nothing(
    compose: Compose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, diverging: bool, method: str
) -> None:
    rate = ["optimizer=sgd", "optimizer.learning_rate=1e30", "train.clip_norm=null"] if diverging else []

    def train(output: str) -> None:
        with contextlib.suppress(DivergedError):
            runner.train(compose(f"output={tmp_path / output}", "train.eval_every=8", *rate))

    train("uninterrupted")
    original = getattr(Records, method)

    def crash(self: Records, *arguments: object) -> None:
        if method == "_clean_up" and not (self.folder / "metrics.parquet").exists():
            return original(self)  # also called when the folder is opened
        raise RuntimeError("pulled the plug")

    with monkeypatch.context() as patch:
        patch.setattr(Records, method, crash)
        with pytest.raises(RuntimeError, match="pulled the plug"):
            train("crashed")
    train("crashed")
    [uninterrupted], [crashed] = (list((tmp_path / name).iterdir()) for name in ("uninterrupted", "crashed"))
    assert rnnbench.load_runs(crashed).status.item() == ("diverged" if diverging else "finished")
    assert bytes_of(crashed) == bytes_of(uninterrupted)


def test_what_is_shown_leaves_diverged_runs_out(compose: Compose, output: str, capsys) -> None:
    rates = (1e-3, 1e30)
    config = [f"output={output}", "optimizer=sgd", "train.clip_norm=null"]
    with pytest.raises(DivergedError, match="1 of 2 runs diverged"):
        runner.train(*(compose(*config, f"optimizer.learning_rate={rate}") for rate in rates))
    [line] = [line for line in capsys.readouterr().err.splitlines() if "at step" in line]
    [good] = rnnbench.load_runs(output).query("status == 'finished'").to_dict("records")
    assert f"1 finished, 1 diverged at step 8  loss {good['final.train.loss']:.3g}  test mse" in line


def test_another_config_gets_a_folder_of_its_own(compose: Compose, output: str) -> None:
    runner.train(compose(f"output={output}"))
    runner.train(compose(f"output={output}", "optimizer.learning_rate=0.002"))
    assert len(list(Path(output).iterdir())) == 2
    assert len(rnnbench.load_runs(output)) == 2


def test_divergence_keeps_what_was_recorded(compose: Compose, output: str) -> None:
    config = compose(f"output={output}", "optimizer=sgd", "optimizer.learning_rate=1e30", "train.clip_norm=null")
    for _ in range(2):  # the second time, the run is found and not trained
        with pytest.raises(DivergedError, match=rf"run {run_id(config)} diverged: .* at step \d of 8; .*learning_rate"):
            runner.train(config)
    [run] = rnnbench.load_runs(output).to_dict("records")
    assert run["status"] == "diverged"
    assert run["step"] == run["diverged_at"]
    metrics = rnnbench.load_metrics(output)
    assert set(metrics[metrics.split == "test"].step) == {0}
    assert metrics.step.max() == run["diverged_at"]


def test_members_of_a_population_are_runs_like_others(compose: Compose, output: str) -> None:
    configs = [compose(f"output={output}", f"seed={seed}") for seed in range(3)]
    rows = runner.train(*configs)
    runs = rnnbench.load_runs(output)
    assert set(runs.run_id) == {row["run_id"] for row in rows}
    assert sorted(runs.seed) == [0, 1, 2]
    assert set(rnnbench.load_metrics(output).run_id) == {run_id(config) for config in configs}


def test_solved_at_is_the_first_evaluation_that_is(
    compose: Compose, output: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rnnbench.tasks.Adding.solved", lambda self, summary: True)
    assert runner.train(compose(f"output={output}"))[0]["solved_at"] == 0


def test_the_number_of_devices_is_fixed_within_a_process(compose: Compose, output: str) -> None:
    there = jax.local_device_count()
    message = f"devices: expected {there}, as in the first run of this process, got {there + 1}"
    with pytest.raises(UserError, match=message):
        runner.train(compose(f"output={output}", f"devices={there + 1}"))


def restore(folder: Path, shared: Program) -> tuple[int, RunState]:
    checkpoints = Checkpoints(folder / "checkpoints", seconds=0.0)
    try:
        restored = checkpoints.restore(shared.abstract_states)
    finally:
        checkpoints.close()
    assert restored is not None
    return restored


def test_a_broken_checkpoint_falls_back_to_the_one_before(compose: Compose, tmp_path: Path) -> None:
    config = compose()
    shared = program([config])
    states = shared.place([shared.init(config)])
    checkpoints = Checkpoints(tmp_path / "checkpoints", seconds=0.0)
    checkpoints.save(4, states)
    moved, _ = shared.segment(states)
    checkpoints.save(8, moved)
    checkpoints.close()
    for path in (tmp_path / "checkpoints" / "8").rglob("*"):
        if path.is_file() and path.stat().st_size:
            path.write_bytes(b"broken")
    step, restored = restore(tmp_path, shared)
    assert step == 4
    jax.tree.map(
        lambda a, b: np.testing.assert_array_equal(a[0], b),
        restored.params,
        shared.init(config).params,
    )


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # from orbax's reading threads
def test_no_readable_checkpoint_is_an_error(compose: Compose, tmp_path: Path) -> None:
    config = compose("model.hidden_size=5")
    shared, other = program([compose()]), program([config])
    checkpoints = Checkpoints(tmp_path / "checkpoints", seconds=0.0)
    checkpoints.save(4, other.place([other.init(config)]))
    checkpoints.close()
    with pytest.raises(UserError, match=r"no checkpoint in .* can be read .*step 4.*overwrite=true"):
        restore(tmp_path, shared)


FORTY_SEGMENTS = ["model=gru", "train.steps=120", "train.eval_every=3", "train.checkpoint_seconds=0", "devices=2"]


def test_killed_again_and_again_it_ends_bit_for_bit_where_an_uninterrupted_run_does(
    compose: Compose, tiny: list[str], tmp_path: Path
) -> None:
    """The job that is killed had been trained before, for a quarter of the steps."""

    def command(output: Path, *overrides: str) -> list[str]:
        return [sys.executable, "-m", "rnnbench", *tiny, *FORTY_SEGMENTS, f"output={output}", *overrides]

    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    subprocess.run(command(tmp_path / "uninterrupted"), env=environment, check=True, capture_output=True, timeout=120)
    shorter = command(tmp_path / "killed", "train.steps=31")
    subprocess.run(shorter, env=environment, check=True, capture_output=True, timeout=120)
    kills = []
    for after in (12, 18, 24):
        process = subprocess.Popen(command(tmp_path / "killed"), env=environment, stderr=subprocess.DEVNULL)
        while process.poll() is None:
            parts = [int(path.stem.partition("-")[2]) for path in tmp_path.glob("killed/*/metrics/*.parquet")]
            if parts and max(parts) >= after * 3:
                time.sleep(0.005 * after)
                process.send_signal(signal.SIGKILL)
                kills.append(process.wait())
        [folder] = (tmp_path / "killed").iterdir()
    assert kills == [-signal.SIGKILL] * 3, "it was finished before it could be killed: make it longer"
    subprocess.run(command(tmp_path / "killed"), env=environment, check=True, capture_output=True, timeout=120)
    [uninterrupted] = (tmp_path / "uninterrupted").iterdir()
    sessions = json.loads((folder / "provenance.json").read_text())["sessions"]
    assert len(sessions) == 5
    assert sessions[1]["from_step"] == 30
    assert all(later["from_step"] > 0 for later in sessions[1:]), "it began again instead of going on"
    assert bytes_of(folder) == bytes_of(uninterrupted)
    shared = program([compose(*FORTY_SEGMENTS)], jax.local_devices()[:2])
    (at, after_kills), (_, never_killed) = (restore(job, shared) for job in (folder, uninterrupted))
    assert at == 120
    jax.tree.map(np.testing.assert_array_equal, after_kills.params, never_killed.params)
    jax.tree.map(np.testing.assert_array_equal, after_kills.opt_state, never_killed.opt_state)
    pd.testing.assert_frame_equal(
        rnnbench.load_metrics(tmp_path / "killed"), rnnbench.load_metrics(tmp_path / "uninterrupted")
    )


def test_a_job_may_end_once_all_are_solved(compose: Compose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rnnbench.tasks.Adding.solved", lambda self, summary: True)
    configs = [compose(f"output={tmp_path}", f"seed={seed}", "train.stop_when_solved=true") for seed in (0, 1)]
    rows = runner.train(*configs)
    assert [(row["status"], row["step"], row["solved_at"]) for row in rows] == [("finished", 0, 0)] * 2
    assert run_id(configs[0]) != run_id(compose(f"output={tmp_path}", "seed=0"))


def test_a_population_says_what_it_takes(compose: Compose, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    configs = [compose(f"output={tmp_path}", f"seed={seed}") for seed in (0, 1)]
    runner.train(*configs)
    assert "adding lstm 2 runs in one program," in capsys.readouterr().err
    assert program(configs).megabytes > 0
