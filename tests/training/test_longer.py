"""A longer training continues a shorter one, and a shorter one is read off what is there."""

import contextlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import jax
import numpy as np
import pandas as pd
import pytest
import yaml

import rnnbench
from rnnbench.config.identity import run_id
from rnnbench.config.schema import Config
from rnnbench.errors import BusyError, DivergedError, UserError
from rnnbench.records.reader import lost
from rnnbench.records.writer import Records
from rnnbench.tasks import Adding
from rnnbench.training import runner
from rnnbench.training.checkpoints import Checkpoints
from rnnbench.training.trained import load_job
from tests.helpers import optax_promotion
from tests.records.jobs import contents

Compose = Callable[..., Config]
Train = Callable[..., list[runner.Row]]

SENTENCES = ["task=sentence_completion", "task.max_distance=16", "model=gru"]
"""A task with completions and gate traces at the end of training."""


DIVERGING = ["optimizer=sgd", "train.clip_norm=null", "optimizer.learning_rate=1e30"]


def records(folder: Path) -> dict[str, bytes]:
    return {name: content for name, content in contents(folder).items() if name.endswith((".parquet", ".arrow"))}


def config(tiny: list[str], *overrides: str) -> Config:
    """Returns a tiny configuration of the RNN, which compiles fast, or of what the overrides choose instead."""
    small = [key for key in tiny if not (key.startswith("task") and "task=sentence_completion" in overrides)]
    return rnnbench.compose(*small, "model=rnn", *overrides)


@pytest.fixture
def train(tiny: list[str], tmp_path: Path) -> Iterator[Train]:
    """Yields a function that trains a job into one of several outputs."""

    def train_into(output: str, steps: int, *overrides: str, seeds: int = 1) -> list[runner.Row]:
        own = [f"output={tmp_path / output}", f"train.steps={steps}", *overrides]
        with contextlib.suppress(DivergedError):
            return runner.train(*(config(tiny, *own, f"seed={seed}") for seed in range(seeds)))
        return []

    with optax_promotion():
        yield train_into


@pytest.fixture
def folder(tmp_path: Path) -> Callable[[str], Path]:
    def only(output: str) -> Path:
        [found] = [path.parent for path in (tmp_path / output).glob("*/provenance.json")]
        return found

    return only


def params(folder: Path, configs: list[Config]) -> object:
    job = load_job(folder, configs)
    return jax.device_get((job.step, job.states.params, job.states.opt_state))


@pytest.mark.parametrize(
    ("lengths", "starts", "overrides", "seeds"),
    [
        ((4, 8), [0, 4], ["model=lstm"], 1),
        ((6, 12), [0, 4], ["probe.at_end=[memory]"], 1),  # its headline is recorded in metrics
        ((3, 7, 8), [0, 0, 4], [], 3),  # shorter than one evaluation, then with a shorter last segment
        ((4, 12), [0, 4], [*SENTENCES, "probe.at_end=[gate_traces,gradient_flow]"], 1),
        ((4, 8), [0, 4], DIVERGING, 2),
    ],
)
def test_a_longer_training_ends_bit_for_bit_as_if_it_had_been_asked_for_at_first(
    tiny: list[str],
    train: Train,
    folder: Callable[[str], Path],
    lengths: list[int],
    starts: list[int],
    overrides: list[str],
    seeds: int,
) -> None:
    for steps in lengths:
        rows = train("longer", steps, *overrides, seeds=seeds)
    assert train("whole", lengths[-1], *overrides, seeds=seeds) == rows
    assert records(folder("longer")) == records(folder("whole"))
    assert {"gate_traces.parquet", "showcase.parquet"} <= {*records(folder("whole"))} or "model=gru" not in overrides
    configs = [config(tiny, *overrides, f"train.steps={lengths[-1]}", f"seed={seed}") for seed in range(seeds)]
    found = [params(folder(output), configs) for output in ("longer", "whole")]
    jax.tree.map(np.testing.assert_array_equal, *found)
    assert yaml.safe_load((folder("longer") / "config.yaml").read_text())["train"]["steps"] == lengths[-1]
    sessions = json.loads((folder("longer") / "provenance.json").read_text())["sessions"]
    assert [session["from_step"] for session in sessions] == starts


def test_one_member_that_has_diverged_stays_so_while_the_others_go_on(
    compose: Compose, tmp_path: Path, folder: Callable[[str], Path]
) -> None:
    def train(output: str, steps: int) -> None:
        own = [f"output={tmp_path / output}", "model=rnn", f"train.steps={steps}", *DIVERGING]
        with pytest.raises(DivergedError, match="1 of 2 runs diverged"):
            runner.train(*(compose(*own, f"optimizer.learning_rate={rate}") for rate in (1e-3, 1e30)))

    train("longer", 4)
    train("longer", 8)
    train("whole", 8)
    assert records(folder("longer")) == records(folder("whole"))
    runs = rnnbench.load_runs(tmp_path / "longer")
    assert sorted(zip(runs.status, runs["train.steps"], strict=True)) == [("diverged", 8), ("finished", 8)]


def test_what_all_have_solved_is_not_trained_on(
    train: Train, folder: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Adding, "solved", lambda self, summary: True)
    for output, steps in (("longer", 4), ("longer", 8), ("whole", 8)):
        [row] = train(output, steps, "train.stop_when_solved=true")
        assert (row["status"], row["step"], row["solved_at"], row["train.steps"]) == ("finished", 0, 0, steps)
    assert records(folder("longer")) == records(folder("whole"))


@pytest.mark.parametrize(
    ("method", "after"),
    [("_keep", True), ("set_runs", False), ("set_runs", True), ("start_session", False), ("finish", False)],
)
def test_a_crash_on_the_way_to_the_longer_training_loses_and_doubles_nothing(
    train: Train, folder: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch, method: str, after: bool
) -> None:
    original = getattr(Records, method)
    train("whole", 12, "probe.at_end=[memory]")
    train("longer", 6, "probe.at_end=[memory]")

    def crash(self: Records, *arguments: object, **options: object) -> None:
        if after:
            original(self, *arguments, **options)
        raise RuntimeError("pulled the plug")

    crashes = 0
    for _ in range(2):
        with monkeypatch.context() as patch:
            patch.setattr(Records, method, crash)
            try:
                train("longer", 12, "probe.at_end=[memory]")
            except RuntimeError:
                crashes += 1
        assert lost(folder("longer")) == {}
        assert not rnnbench.load_metrics(folder("longer")).duplicated(["run_id", "step", "split", "metric"]).any()
    assert crashes
    train("longer", 12, "probe.at_end=[memory]")
    assert records(folder("longer")) == records(folder("whole"))


def test_an_interrupted_training_is_continued_for_longer(
    train: Train, folder: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    save = Checkpoints.save

    def stop(self: Checkpoints, step: int, states: object, *, force: bool = False) -> None:
        save(self, step, states, force=True)  # type: ignore[arg-type]
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Checkpoints, "save", stop)
        with pytest.raises(KeyboardInterrupt):
            train("longer", 8)
    train("longer", 12)
    assert "trained to step 4 before: continuing from step 4 to 12" in capsys.readouterr().err
    train("whole", 12)
    assert records(folder("longer")) == records(folder("whole"))


@pytest.mark.parametrize("overrides", [[], DIVERGING])
def test_a_shorter_training_is_read_off_a_longer_one(
    tiny: list[str],
    train: Train,
    tmp_path: Path,
    folder: Callable[[str], Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    overrides: list[str],
) -> None:
    train("longer", 12, *overrides, seeds=2)
    before = contents(folder("longer"))
    for steps in (4, 8):
        train(f"whole{steps}", steps, *overrides, seeds=2)
        own = [f"output={tmp_path}/longer", f"train.steps={steps}", *overrides]
        configs = [config(tiny, *own, f"seed={seed}") for seed in range(2)]
        capsys.readouterr()
        with monkeypatch.context() as patch:
            patch.setattr(runner, "Session", None)
            rows = train("longer", steps, *overrides, seeds=2)
            runs = rnnbench.train(configs)
        said = capsys.readouterr().err
        assert f"at step {max(runs.step)}, read off a training of 12 steps: {folder('longer')}" in said or not rows
        whole = rnnbench.load_runs(tmp_path / f"whole{steps}")
        pd.testing.assert_frame_equal(runs.drop(columns="folder"), whole.drop(columns="folder"))
    assert contents(folder("longer")) == before


def test_an_interrupted_training_that_is_far_enough_is_left_as_it_is(
    train: Train, tmp_path: Path, folder: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(self: Checkpoints, step: int, states: object, *, force: bool = False) -> None:
        if step == 8:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Checkpoints, "save", stop)
        with pytest.raises(KeyboardInterrupt):
            train("stopped", 12)
    before = contents(folder("stopped"))
    whole = train("whole", 4)
    for steps in (4, 8):
        [row] = train("stopped", steps)
        assert (row["status"], row["step"], row["train.steps"]) == ("finished", steps, steps)
        if steps == 4:
            assert row == whole[0]
    assert contents(folder("stopped")) == before
    assert rnnbench.load_runs(tmp_path / "stopped").status.item() == "running"


def test_a_step_without_an_evaluation_cannot_be_read_off(train: Train, folder: Callable[[str], Path]) -> None:
    train("longer", 12)
    for steps, known in ((6, "4 or 8"), (2, "4")):
        message = rf"train.steps: expected {known}, got {steps}: {folder('longer')} was .* every 4 .*overwrite=true"
        with pytest.raises(UserError, match=message):
            train("longer", steps)


def test_a_job_that_is_being_trained_is_not_trained_for_longer(train: Train, folder: Callable[[str], Path]) -> None:
    train("longer", 4)
    with Records(folder("longer"), {}), pytest.raises(BusyError, match="is being trained by process"):
        train("longer", 8)
    assert train("longer", 4)[0]["status"] == "finished"


def test_overwriting_trains_the_shorter_one(train: Train, folder: Callable[[str], Path]) -> None:
    train("longer", 8)
    train("longer", 4, "overwrite=true")
    train("whole", 4)
    assert records(folder("longer")) == records(folder("whole"))


def test_a_schedule_over_the_steps_makes_another_run(compose: Compose) -> None:
    schedule = "{_target_: optax.cosine_decay_schedule, init_value: 0.01, decay_steps: '${train.steps}'}"
    short, long = (compose(f"optimizer.learning_rate={schedule}", f"train.steps={steps}") for steps in (4, 8))
    assert long.optimizer["learning_rate"]["decay_steps"] == 8
    assert run_id(short) != run_id(long)
    assert run_id(compose("train.steps=4")) == run_id(compose("train.steps=8"))
