"""Sweeps: what is folded into one job, and what is left to train."""

from pathlib import Path

import numpy as np
import pytest

import rnnbench
from rnnbench.commands import cli
from rnnbench.config.identity import run_id
from rnnbench.config.schema import Config
from rnnbench.records.folders import job_folder
from rnnbench.records.writer import Records
from rnnbench.training import runner
from tests.helpers import row, run_sweep


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
        ("task=adding,copy", False),
    ],
)
def test_what_folds(jobs: Jobs, axis: str, folds: bool) -> None:
    assert cli.main(["-m", "model=lstm", axis]) == 0
    assert jobs.sizes == ([2] if folds else [1, 1])


def test_seeds_beyond_31_bits_fold(jobs: Jobs) -> None:
    assert cli.main(["-m", "seed=0,2147483648,4294967295"]) == 0
    assert jobs.sizes == [3]


def test_a_population_has_a_most(jobs: Jobs) -> None:
    assert cli.main(["-m", "seed=range(10)", "population.max_size=4"]) == 0
    assert jobs.sizes == [4, 4, 2]
    assert [c.seed for job in jobs.populations for c in job] == list(range(10))
    assert cli.main(["-m", "seed=range(9)", "population.max_size=4"]) == 0
    assert jobs.sizes[3:] == [3, 3, 3]


def test_a_command_that_joins_another_plans_the_same_jobs(jobs: Jobs, tiny: list[str], tmp_path: Path) -> None:
    """The first command has trained seeds 0 to 3, and nothing tells yet that it trains the next."""
    sweep = ["-m", *tiny, f"output={tmp_path}", "population.max_size=4", "seed=range(10)"]
    assert cli.main(sweep) == 0
    first = jobs.populations.copy()
    ids = [[run_id(config) for config in job] for job in first]
    with Records(job_folder(tmp_path, "adding", first[0][0].model.name, ids[0]), {}) as owner:
        about = {"train.steps": 8, "train.eval_every": 4, "train.stop_when_solved": False}
        rows = [row(run, "finished", 8, **about) for run in ids[0]]
        owner.set_runs(rows)
        owner.finish(rows)
    assert cli.main(sweep) == 0
    assert [[run_id(config) for config in job] for job in jobs.populations[3:]] == ids[1:]


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


@pytest.mark.parametrize(
    ("axes", "message"),
    [
        (["optimizer.learning_rate=interval(0,1)"], "expected values to try, such as optimizer.learning_rate=1,2"),
        (["seed=range(0)"], "seed=range(0): expected values to try, such as seed=1,2, got none"),
        (["seed=range(5,1)"], "seed=range(5,1): expected values to try"),
        (["seed=range(0,5,0)"], "seed=range(0,5,0): expected a step other than 0"),
        (["seed=range(100000000)"], "expected at most 10000 runs in a sweep, got 100000000 or more; try fewer values"),
        (
            ["seed=range(1000)", "model=rnn,gru", "train.omega=range(0,1,0.01)"],
            "train.omega=range(0,1,0.01): expected at most 10000 runs in a sweep, got 200000 or more",
        ),
    ],
)
def test_axes_are_checked_before_they_are_listed(
    capsys: pytest.CaptureFixture[str], jobs: Jobs, axes: list[str], message: str
) -> None:
    assert cli.main(["-m", *axes]) == 2
    assert message in capsys.readouterr().err
    assert not jobs.populations


def test_one_run_cannot_be_asked_for_twice(capsys: pytest.CaptureFixture[str], jobs: Jobs) -> None:
    assert cli.main(["-m", "seed=0,1", "train.steps=8,4"]) == 2
    said = capsys.readouterr().err
    assert "train.steps: expected one number of steps for each run, got 4 and 8 for" in said
    assert "ask for 8 alone, whose records hold those of the first 4 steps" in said
    assert not jobs.populations
    schedule = "{_target_: optax.cosine_decay_schedule, init_value: 0.01, decay_steps: '${train.steps}'}"
    assert cli.main(["-m", "train.steps=8,4", f"optimizer.learning_rate={schedule}"]) == 0
    assert jobs.sizes == [1, 1], "another schedule is another run"


def test_a_wrong_value_on_any_axis_is_found_before_anything_trains(
    capsys: pytest.CaptureFixture[str], jobs: Jobs
) -> None:
    assert cli.main(["-m", "model=rnn,lstm", "seed=0,-1"]) == 2
    assert "seed: expected 0 or more, got -1" in capsys.readouterr().err
    assert not jobs.populations


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ("{task.length:[10,20]}", "task.length cannot differ within a population"),
        ("{seed:[0,1],optimizer.learning_rate:[1]}", "expected equally many values for each key"),
        ("{seed:[]}", "expected equally many values for each key, one or more, got seed: 0"),
        ("{}", "expected equally many values for each key, one or more, got none"),
        ("{seed:[1,2],train.omega:[1,nan]}", "train.omega: expected a finite number, got nan"),
        ("{seed:[1,2,1]}", "expected different runs, got seed=1 twice"),
        ("{seed:[0,0],train.omega:[1,1.0]}", "expected different runs, got seed=0, train.omega=1.0 twice"),
    ],
)
def test_members_are_different_runs_of_one_program(
    capsys: pytest.CaptureFixture[str], jobs: Jobs, members: str, message: str
) -> None:
    assert cli.main([f"population.members={members}"]) == 2
    assert message in capsys.readouterr().err


def test_more_seeds_train_what_is_missing(
    tiny: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run_sweep(tiny, tmp_path, "seed=0,1") == 0
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.parquet")}
    trained: list[list[int]] = []
    train = runner.train

    def counted(*configs: Config) -> object:
        trained.append([config.seed for config in configs])
        return train(*configs)

    monkeypatch.setattr(runner, "train", counted)
    assert run_sweep(tiny, tmp_path, "seed=range(4)") == 0
    assert "a sweep of 4 runs, 2 of them complete" in capsys.readouterr().err
    assert run_sweep(tiny, tmp_path, "seed=range(4)") == 0
    assert "a sweep of 4 runs, 4 of them complete" in capsys.readouterr().err
    assert trained == [[2, 3]]
    assert all(path.read_bytes() == content for path, content in before.items())
    assert sorted(rnnbench.load_runs(tmp_path).seed) == [0, 1, 2, 3]


def test_a_longer_sweep_goes_on_with_the_same_jobs_and_a_shorter_one_is_done(
    tiny: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny = [*tiny, "model=rnn"]
    assert run_sweep(tiny, tmp_path / "longer", "seed=0,1", "train.steps=4") == 0
    folders = {*rnnbench.load_runs(tmp_path / "longer").folder}
    assert run_sweep(tiny, tmp_path / "longer", "seed=range(3)", "train.steps=8") == 0
    said = capsys.readouterr().err
    assert "a sweep of 3 runs; 3 to train in 2 jobs" in said
    assert "trained to step 4 before: continuing from step 4 to 8" in said
    runs = rnnbench.load_runs(tmp_path / "longer")
    assert list(runs["train.steps"]) == [8, 8, 8]
    assert {*runs.folder[:2]} == folders
    assert run_sweep(tiny, tmp_path / "longer", "seed=range(3)", "train.steps=4") == 0
    assert "a sweep of 3 runs, 3 of them complete" in capsys.readouterr().err
    assert list(rnnbench.load_runs(tmp_path / "longer").step) == [8, 8, 8]
    assert run_sweep(tiny, tmp_path / "longer", "seed=range(3)", "train.steps=6") == 2
    assert "train.steps: expected 4 or 8, got 6: " in capsys.readouterr().err
    assert run_sweep(tiny, tmp_path / "whole", "seed=0,1", "train.steps=8") == 0
    whole = rnnbench.load_metrics(tmp_path / "whole")
    longer = rnnbench.load_metrics(folders.pop())
    assert whole.equals(longer)


def test_a_number_that_is_written_differently_is_not_trained_again(
    tiny: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_sweep(tiny, tmp_path, "model=lstm", "model.cell.forget_bias=0,1") == 0
    assert run_sweep(tiny, tmp_path, "model=lstm", "model.cell.forget_bias=0.0,1.0,1e0,1.5") == 0
    assert "a sweep of 3 runs, 2 of them complete" in capsys.readouterr().err
    column = rnnbench.load_runs(tmp_path)["model.cell.forget_bias"]
    assert (column.dtype, sorted(column)) == (np.float64, [0.0, 1.0, 1.5])


def test_an_interrupted_population_resumes_as_it_was(
    tiny: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sweep stops after its first segment. With one more seed, three runs resume and the fourth is new."""
    assert run_sweep(tiny, tmp_path / "uninterrupted", "seed=range(3)", "train.checkpoint_seconds=0") == 0
    save = runner.Checkpoints.save

    def stop(self: object, step: int, states: object, *, force: bool = False) -> None:
        save(self, step, states, force=force)  # type: ignore[arg-type]
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(runner.Checkpoints, "save", stop)
        assert run_sweep(tiny, tmp_path / "stopped", "seed=range(3)", "train.checkpoint_seconds=0") == 130
    assert set(rnnbench.load_runs(tmp_path / "stopped").status) == {"running"}
    assert run_sweep(tiny, tmp_path / "stopped", "seed=range(4)", "train.checkpoint_seconds=0") == 0
    runs = rnnbench.load_runs(tmp_path / "stopped")
    assert list(runs.status) == ["finished"] * 4
    assert len({*runs.folder}) == 2
    uninterrupted = rnnbench.load_metrics(tmp_path / "uninterrupted")
    stopped = rnnbench.load_metrics(tmp_path / "stopped")
    stopped = stopped[stopped.run_id.isin(uninterrupted.run_id)].reset_index(drop=True)
    assert uninterrupted.equals(stopped)


def test_a_job_killed_before_its_first_row_is_planned_whole(tiny: list[str], tmp_path: Path) -> None:
    assert run_sweep(tiny, tmp_path, "seed=0,1") == 0
    [folder] = {Path(name) for name in rnnbench.load_runs(tmp_path).folder}
    (folder / "runs.arrow").unlink()
    assert run_sweep(tiny, tmp_path, "seed=0,1") == 0
    assert list(rnnbench.load_runs(tmp_path).status) == ["finished"] * 2


def test_overwrite_trains_all_again(jobs: Jobs, tiny: list[str], tmp_path: Path) -> None:
    assert run_sweep(tiny, tmp_path, "seed=range(3)", "overwrite=true") == 0
    assert jobs.sizes == [3]
