"""Training from Python: what is trained, and what comes back."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import pytest

import rnnbench
from rnnbench.config.identity import run_id
from rnnbench.config.schema import Config
from rnnbench.records.folders import job_folders
from rnnbench.training import runner
from rnnbench.training.checkpoints import Checkpoints
from rnnbench.training.step import RunState
from tests.helpers import optax_promotion

Sweep = Callable[..., list[Config]]
TABLES = ("metrics", "scores", "gradient_flow")


@pytest.fixture
def sweep(tiny: list[str], tmp_path: Path) -> Iterator[Sweep]:
    def compose(*overrides: str) -> list[Config]:
        return rnnbench.compose_sweep(*tiny, f"output={tmp_path}/results", *overrides)

    with optax_promotion():
        yield compose


@pytest.fixture
def jobs(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Config, ...]]:
    """Returns a list of the populations that are trained."""
    found: list[tuple[Config, ...]] = []
    train = runner.train

    def watched(*configs: Config) -> object:
        found.append(configs)
        return train(*configs)

    monkeypatch.setattr(runner, "train", watched)
    return found


def seeds(jobs: list[tuple[Config, ...]]) -> list[tuple[str, list[int]]]:
    return [(configs[0].model.name, [config.seed for config in configs]) for configs in jobs]


def test_runs_that_differ_in_numbers_are_one_job(sweep: Sweep, jobs: list[tuple[Config, ...]], tmp_path: Path) -> None:
    configs = sweep("seed=2,0,1", "model=gru,rnn")
    runs = rnnbench.train(configs)
    assert seeds(jobs) == [("gru", [2, 0, 1]), ("rnn", [2, 0, 1])]
    assert [own[0].population.place for own in jobs] == ["1/2", "2/2"]
    assert len(list(job_folders(tmp_path / "results"))) == 2
    assert runs["run_id"].tolist() == [run_id(config) for config in configs], "in the order asked for"
    assert set(runs["status"]) == {"finished"}
    loaded = rnnbench.load_runs(tmp_path / "results").set_index("run_id").loc[runs["run_id"]].reset_index()
    pd.testing.assert_frame_equal(runs, loaded)


def test_only_what_is_missing_is_trained(sweep: Sweep, jobs: list[tuple[Config, ...]]) -> None:
    rnnbench.train(sweep("seed=0,1"))
    runs = rnnbench.train(sweep("seed=range(4)"))
    assert seeds(jobs) == [("lstm", [0, 1]), ("lstm", [2, 3])]
    assert runs["seed"].tolist() == [0, 1, 2, 3]
    assert rnnbench.train(sweep("seed=3,0"))["seed"].tolist() == [3, 0]
    assert len(jobs) == 2, "all of it is there"


def test_one_configuration_is_enough(sweep: Sweep, jobs: list[tuple[Config, ...]]) -> None:
    [config] = sweep("seed=5")
    [row] = rnnbench.train(config).to_dict("records")
    assert (row["run_id"], row["seed"], row["status"]) == (run_id(config), 5, "finished")
    assert jobs[0][0].population.place is None


@pytest.mark.parametrize("interrupted", ["save", "_evaluate"])
def test_an_interrupted_sweep_resumes_to_the_same_records(
    sweep: Sweep, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, interrupted: str
) -> None:
    """Ctrl-C interrupts the second of two jobs halfway."""
    overrides = ["model=gru,rnn", "seed=0,1", "train.steps=16", "train.checkpoint_seconds=0"]
    calls = 0
    owner = Checkpoints if interrupted == "save" else runner.Session
    original = getattr(owner, interrupted)

    def once(self: object, step: int, states: RunState, *rest: object, **options: object) -> object:
        nonlocal calls
        calls += 1
        if calls == 8:
            raise KeyboardInterrupt
        return original(self, step, states, *rest, **options)

    with monkeypatch.context() as patch:
        patch.setattr(owner, interrupted, once)
        with pytest.raises(KeyboardInterrupt):
            rnnbench.train(sweep(*overrides))
    statuses = rnnbench.load_runs(tmp_path / "results").groupby("model.name")["status"].unique()
    assert (statuses["gru"], statuses["rnn"]) == (["finished"], ["running"])
    resumed = rnnbench.train(sweep(*overrides))
    whole = rnnbench.train(sweep(*overrides, f"output={tmp_path}/whole"))
    pd.testing.assert_frame_equal(resumed.drop(columns="folder"), whole.drop(columns="folder"))
    for name in TABLES:
        tables = [rnnbench.load_table(tmp_path / folder, name) for folder in ("results", "whole")]
        assert len(tables[0]) > 0
        pd.testing.assert_frame_equal(*tables)


def test_a_run_that_diverges_is_returned(sweep: Sweep) -> None:
    """The runs after it are trained."""
    configs = sweep("optimizer=sgd", "model=lstm,rnn", "optimizer.learning_rate=1e-3,1e38", "train.clip_norm=null")
    runs = rnnbench.train(configs)
    assert runs["status"].tolist() == ["finished", "diverged"] * 2
    assert (runs["diverged_at"].dropna() <= 8).all()
    pd.testing.assert_frame_equal(rnnbench.train(configs), runs)


def test_runs_of_several_outputs_come_in_one_table(sweep: Sweep, tmp_path: Path) -> None:
    """This also works if one output folder is inside the other and has the same run."""
    rnnbench.train(sweep("seed=9"))
    inner = sweep("seed=0,1", "model=gru", f"output={tmp_path}/results/inner")
    outer = sweep("seed=0,1", "model=rnn,gru")
    configs = [inner[1], outer[0], outer[3], inner[0]]
    runs = rnnbench.train(configs)
    assert runs["run_id"].tolist() == [run_id(config) for config in configs]
    assert [str(Path(folder).parent) for folder in runs["folder"]] == [config.output for config in configs]


def test_nothing_to_train_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="configs: expected one configuration or more, got none"):
        rnnbench.train([])
