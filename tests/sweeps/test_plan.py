"""Sweeps: what is folded, what is left to train, and that each member equals its solo run."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np
import pytest
from hydra.core.utils import JobReturn

import rnnbench
from rnnbench.commands import cli
from rnnbench.config.identity import foldable, run_id
from rnnbench.config.schema import Config
from rnnbench.errors import UserError
from rnnbench.probes.gradient_flow import GradientFlow
from rnnbench.records import folders
from rnnbench.records.writer import Records
from rnnbench.sweeps.launch import run
from rnnbench.sweeps.populations import _parts
from rnnbench.training import program as population
from rnnbench.training import runner
from rnnbench.training.program import program
from tests.helpers import run_command

Compose = Callable[..., Config]


class Jobs:
    """Replaces `runner.train` and stores the populations."""

    def __init__(self) -> None:
        self.populations: list[tuple[Config, ...]] = []

    def __call__(self, *configs: Config) -> None:
        self.populations.append(configs)

    @property
    def sizes(self) -> list[int]:
        return [len(configs) for configs in self.populations]


@pytest.fixture
def jobs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Jobs:
    stand_in = Jobs()
    monkeypatch.setattr(runner, "train", stand_in)
    monkeypatch.chdir(tmp_path)
    return stand_in


def test_numbers_fold_and_all_else_are_jobs(jobs: Jobs) -> None:
    argv = ["-m", "model=rnn,lstm,gru", "task.length=10,20", "seed=range(4)", "optimizer.learning_rate=1e-3,3e-3,1e-2"]
    assert cli.main(argv) == 0
    assert jobs.sizes == [12] * 6
    runs = [
        (c.model.name, c.task["length"], c.seed, c.optimizer["learning_rate"]) for job in jobs.populations for c in job
    ]
    rates = (1e-3, 3e-3, 1e-2)
    assert runs == [(m, t, s, r) for m in ("rnn", "lstm", "gru") for t in (10, 20) for s in range(4) for r in rates]
    assert [configs[0].population.place for configs in jobs.populations] == [f"{i}/6" for i in range(1, 7)]


@pytest.mark.parametrize(
    ("axis", "folds"),
    [
        ("seed=0,1", True),
        ("train.clip_norm=0.5,1.0", True),
        ("train.clip_norm=null,1.0", False),
        ("optimizer.b1=0.8,0.9", True),
        ("model.cell.forget_bias=0,1", True),
        ("model.cell.peepholes=false,true", False),
        ("train.batch_size=8,16", False),
        ("model.hidden_size=4,8", False),
        ("train.steps=4,8", False),
        ("task=adding,copy", False),
    ],
)
def test_what_folds(jobs: Jobs, axis: str, folds: bool) -> None:
    assert cli.main(["-m", "model=lstm", axis]) == 0
    assert jobs.sizes == ([2] if folds else [1, 1])


def test_what_folds_is_declared_by_the_code(compose: Compose) -> None:
    adam = {"optimizer.learning_rate", "optimizer.b1", "optimizer.b2", "optimizer.eps"}
    every = {"seed", "train.omega", *adam}
    assert foldable(compose("model=lstm")) == {"train.clip_norm", "model.cell.forget_bias", *every}
    assert foldable(compose("model=gru", "train.clip_norm=null")) == {"model.cell.update_bias", *every}
    assert "task.distance" in foldable(with_distance(compose(), 4))


def test_a_population_has_a_most(jobs: Jobs) -> None:
    assert cli.main(["-m", "seed=range(10)", "population.max_size=4"]) == 0
    assert jobs.sizes == [4, 4, 2]
    assert [c.seed for job in jobs.populations for c in job] == list(range(10))
    assert [len(part) for part in _parts(list("abcdefghi"), 4)] == [3, 3, 3]


def test_integers_and_others_fold_into_one_type(jobs: Jobs) -> None:
    assert cli.main(["-m", "optimizer.learning_rate=1,2.5", "model.cell.forget_bias=0,1"]) == 0
    [members] = jobs.populations
    rates = [member.optimizer["learning_rate"] for member in members]
    assert list(map(repr, rates)) == ["1.0", "1.0", "2.5", "2.5"]
    assert {type(member.model.cell["forget_bias"]) for member in members} == {float}
    assert cli.main(["optimizer.learning_rate=1.0", "model.cell.forget_bias=0.0"]) == 0
    assert run_id(jobs.populations[1][0]) == run_id(members[0])


def test_what_depends_on_a_folded_number_follows_it(jobs: Jobs) -> None:
    assert cli.main(["-m", "seed=2,3", "optimizer.learning_rate=${seed}"]) == 0
    [members] = jobs.populations
    assert [member.optimizer["learning_rate"] for member in members] == [2, 3]


def test_an_interval_is_no_axis(capsys: pytest.CaptureFixture[str], jobs: Jobs) -> None:
    assert cli.main(["-m", "optimizer.learning_rate=interval(0,1)"]) == 2
    assert "expected values to try, such as optimizer.learning_rate=1,2" in capsys.readouterr().err


def test_a_wrong_value_on_any_axis_is_found_before_anything_trains(
    capsys: pytest.CaptureFixture[str], jobs: Jobs
) -> None:
    assert cli.main(["-m", "model=rnn,lstm", "seed=0,-1"]) == 2
    assert "seed: expected 0 or more, got -1" in capsys.readouterr().err
    assert not jobs.populations


def test_members_must_be_foldable(capsys: pytest.CaptureFixture[str], jobs: Jobs) -> None:
    assert cli.main(["population.members={task.length:[10,20]}"]) == 2
    assert "population.members: task.length cannot differ within a population" in capsys.readouterr().err
    assert cli.main(["population.members={seed:[0,1],optimizer.learning_rate:[1]}"]) == 2
    assert "expected equally many values for each key" in capsys.readouterr().err


def sweep(tiny: list[str], output: Path, *argv: str) -> int:
    return run_command(["-m", *tiny, f"output={output}", *argv])


def test_more_seeds_train_what_is_missing(
    tiny: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert sweep(tiny, tmp_path, "seed=0,1") == 0
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.parquet")}
    trained: list[list[int]] = []
    train = runner.train

    def counted(*configs: Config) -> object:
        trained.append([config.seed for config in configs])
        return train(*configs)

    monkeypatch.setattr(runner, "train", counted)
    assert sweep(tiny, tmp_path, "seed=range(4)") == 0
    assert "a sweep of 4 runs, 2 of them complete" in capsys.readouterr().err
    assert sweep(tiny, tmp_path, "seed=range(4)") == 0
    assert "a sweep of 4 runs, 4 of them complete" in capsys.readouterr().err
    assert trained == [[2, 3]]
    assert all(path.read_bytes() == content for path, content in before.items())
    assert sorted(rnnbench.load_runs(tmp_path).seed) == [0, 1, 2, 3]


def test_a_number_that_is_written_differently_is_not_trained_again(
    tiny: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert sweep(tiny, tmp_path, "model=lstm", "model.cell.forget_bias=0,1") == 0
    assert sweep(tiny, tmp_path, "model=lstm", "model.cell.forget_bias=0.0,1.0,1e0,1.5") == 0
    assert "a sweep of 3 runs, 2 of them complete" in capsys.readouterr().err
    column = rnnbench.load_runs(tmp_path)["model.cell.forget_bias"]
    assert (column.dtype, sorted(column)) == (np.float64, [0.0, 1.0, 1.5])


def test_an_interrupted_population_resumes_as_it_was(
    tiny: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sweep stops after its first segment. With one more seed, three runs resume and the fourth is new."""
    assert sweep(tiny, tmp_path / "uninterrupted", "seed=range(3)", "train.checkpoint_seconds=0") == 0
    save = runner.Checkpoints.save

    def stop(self: object, step: int, states: object, *, force: bool = False) -> None:
        save(self, step, states, force=force)  # type: ignore[arg-type]
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(runner.Checkpoints, "save", stop)
        assert sweep(tiny, tmp_path / "stopped", "seed=range(3)", "train.checkpoint_seconds=0") == 130
    assert set(rnnbench.load_runs(tmp_path / "stopped").status) == {"running"}
    assert sweep(tiny, tmp_path / "stopped", "seed=range(4)", "train.checkpoint_seconds=0") == 0
    runs = rnnbench.load_runs(tmp_path / "stopped")
    assert list(runs.status) == ["finished"] * 4
    assert len({*runs.folder}) == 2
    uninterrupted = rnnbench.load_metrics(tmp_path / "uninterrupted")
    stopped = rnnbench.load_metrics(tmp_path / "stopped")
    stopped = stopped[stopped.run_id.isin(uninterrupted.run_id)].reset_index(drop=True)
    assert uninterrupted.equals(stopped)


def test_a_job_that_another_process_trains_is_waited_for(
    tiny: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process holds the RNN's job until the LSTM's job is done; then the RNN's job is trained too."""
    assert sweep(tiny, tmp_path, "model=rnn,lstm", "seed=0,1") == 0
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
    assert sweep(tiny, tmp_path, "model=rnn,lstm", "seed=0,1") == 0
    told = capsys.readouterr().err
    assert told.index("left for now: ") < told.index("2/2 adding lstm") < told.index("waiting for a job")
    assert looks == [held.name] * 2
    assert rnnbench.load_runs(tmp_path).status.eq("finished").all()


def test_failures_come_back_from_a_launchers_processes(
    tiny: list[str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    axes = ["model=rnn,lstm", "optimizer=sgd", "optimizer.learning_rate=1e-3,1e30", "population.max_size=1"]
    assert sweep(tiny, tmp_path, "launcher=joblib", "hydra.launcher.n_jobs=2", *axes) == 3
    assert "2 of 4 jobs failed" in capfd.readouterr().err
    assert sorted(rnnbench.load_runs(tmp_path).status) == ["diverged"] * 2 + ["finished"] * 2


def test_an_unknown_launcher(tiny: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert sweep(tiny, tmp_path, "launcher=loki", "seed=0") == 2
    assert "launcher: unknown option 'loki'; expected one of joblib, local, slurm" in capsys.readouterr().err


def test_a_launcher_that_fails_is_an_error() -> None:
    def launch(jobs: list[list[str]]) -> list[JobReturn]:
        raise RuntimeError("node down")

    with pytest.raises(UserError, match=r"the launcher failed \(RuntimeError: node down\); what was"):
        run([["seed=0"]], launch)


def test_a_job_killed_before_its_first_row_is_planned_whole(tiny: list[str], tmp_path: Path) -> None:
    assert sweep(tiny, tmp_path, "seed=0,1") == 0
    [folder] = {Path(name) for name in rnnbench.load_runs(tmp_path).folder}
    (folder / "runs.parquet").unlink()
    assert sweep(tiny, tmp_path, "seed=0,1") == 0
    assert list(rnnbench.load_runs(tmp_path).status) == ["finished"] * 2


def test_four_devices_give_the_tables_of_one(tiny: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert sweep(tiny, tmp_path / "four", "model=rnn,gru", "seed=range(6)") == 0
    build = population._program
    with monkeypatch.context() as patch:
        patch.setattr(population, "_program", lambda shared, devices: build(shared, devices[:1]))
        assert sweep(tiny, tmp_path / "one", "model=rnn,gru", "seed=range(6)") == 0
    for name in ("metrics", "scores", "gradient_flow"):
        four, one = rnnbench.load_table(tmp_path / "four", name), rnnbench.load_table(tmp_path / "one", name)
        value = ["norm", "q10", "q50", "q90"] if "norm" in four else ["value"]
        assert four.drop(columns=value).equals(one.drop(columns=value))
        np.testing.assert_allclose(four[value], one[value], rtol=1e-3, atol=1e-6)


def test_a_sweep_ends_with_a_page_about_it(tiny: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tiny = [override for override in tiny if override != "report=false"]
    axes = ["optimizer=sgd", "train.clip_norm=null", "optimizer.learning_rate=1e-3,1e30"]
    assert sweep(tiny, tmp_path, *axes) == 3, "one diverges"
    assert f"written: {tmp_path}/report.html" in capsys.readouterr().err
    page = (tmp_path / "report.html").read_text()
    assert all(run_id in page for run_id in rnnbench.load_runs(tmp_path).run_id)
    (tmp_path / "report.html").unlink()
    assert sweep(tiny, tmp_path, *axes) == 3
    assert (tmp_path / "report.html").read_text() == page, "nothing was left to train"


def test_overwrite_trains_all_again(jobs: Jobs, tiny: list[str], tmp_path: Path) -> None:
    assert sweep(tiny, tmp_path, "seed=range(3)", "overwrite=true") == 0
    assert jobs.sizes == [3]


AXES = {
    "optimizer.learning_rate": (1e-3, 3e-2),
    "model.cell.forget_bias": (0.0, 2.0),
    "train.clip_norm": (0.01, 1.0),
    "train.omega": (0.5, 3.0),
}


@pytest.mark.parametrize("key", AXES)
def test_a_member_is_its_solo_run(compose: Compose, tmp_path: Path, key: str) -> None:
    configs = [compose("model=lstm", f"{key}={value}", f"output={tmp_path}/folded") for value in AXES[key]]
    runner.train(*configs)
    for config in configs:
        runner.train(compose("model=lstm", f"{key}={AXES[key][configs.index(config)]}", f"output={tmp_path}/alone"))
    folded, alone = (rnnbench.load_metrics(tmp_path / name) for name in ("folded", "alone"))
    assert folded.drop(columns="value").equals(alone.drop(columns="value"))
    np.testing.assert_allclose(folded.value, alone.value, rtol=1e-3, atol=1e-6)
    losses = folded[(folded.metric == "loss") & (folded.split == "test")].groupby("run_id").value.last()
    assert losses.nunique() == 2, "the axis makes a difference"
    for column in rnnbench.load_runs(tmp_path / "folded"):
        if not column.startswith(("final.", "folder")):
            ours, theirs = (rnnbench.load_runs(tmp_path / name)[column] for name in ("folded", "alone"))
            assert ours.equals(theirs), column


def with_distance(config: Config, distance: int) -> Config:
    target = "rnnbench.tasks.SentenceCompletion"
    task = {"name": "sentence_completion", "_target_": target, "max_distance": 8, "distance": distance}
    return dataclasses.replace(config, task=task)


def test_a_number_of_the_task_reaches_the_data(compose: Compose) -> None:
    configs = [with_distance(compose("optimizer.learning_rate=0.0"), distance) for distance in (2, 8)]
    shared = program(configs)
    assert shared.folded == ["task.distance"]
    _, scalars = shared.segment(shared.place([shared.init(config) for config in configs]))
    for i, config in enumerate(configs):
        alone = program([config])
        _, expected = alone.segment(alone.place([alone.init(config)]))
        np.testing.assert_allclose(scalars["loss"][i], expected["loss"][0], rtol=1e-6)
    assert not np.allclose(scalars["loss"][0], scalars["loss"][1])


@pytest.mark.parametrize("members", [3, 5, 8])
def test_members_that_do_not_divide_evenly(compose: Compose, members: int) -> None:
    """On four devices, few members split their batches. If the batches do not divide either, members are repeated."""
    configs = [compose(f"seed={seed}", "train.batch_size=6") for seed in range(members)]
    shared, single = (program(configs, jax.local_devices()[:count]) for count in (4, 1))
    assert shared.repeated == {3: 1, 5: 3, 8: 0}[members]
    results = []
    for each in (shared, single):
        states = each.place([each.init(config) for config in configs])
        for _ in range(2):
            states, scalars = each.segment(states)
        flow = np.stack([of[0, "h"] for of in each.measure(GradientFlow(), states, 4)])
        results.append((scalars["loss"], each.evaluate(states)["loss"], flow, states.step))
    for several, one in zip(*results, strict=True):
        np.testing.assert_allclose(several, one, rtol=1e-4, atol=1e-6)
        assert len(several) == members


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
    assert population.program(configs).megabytes > 0
