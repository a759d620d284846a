"""Runs the real command with mistakes: it prints one message, exits with the right code and loses no records."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import rnnbench
from rnnbench.commands import cli
from rnnbench.records.writer import Records
from tests.helpers import run_command

ROOT = Path(__file__).parents[2]

CELL = ["model=rnn", "~model.cell.activation"]

Run = Callable[..., tuple[int, str]]


class NoCell:
    """Takes what a cell takes, but cannot step."""

    def __init__(self, in_features: int, hidden_features: int, *, rngs: object) -> None: ...


@pytest.fixture
def run(tiny: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """Returns a function that runs a shrunk command line in its own folder, and returns the exit code and stderr."""
    monkeypatch.chdir(tmp_path)

    def run(*argv: str) -> tuple[int, str]:
        code = run_command([*tiny, *argv])
        return code, capsys.readouterr().err

    return run


def folder() -> Path:
    [only] = Path("results").iterdir()
    return only


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["task.length=1"], "task.length: expected at least 2 in the form 'halves', got 1"),
        (["task.length=-3"], "task.length: expected at least 2 in the form 'halves', got -3"),
        (["task=copy", "task.length=0"], "task.length: expected at least 1, got 0"),
        (
            ["task._target_=rnnbench.tasks.SentenceCompletion", "~task.length", "~task.form", "+task.max_distance=1"],
            "task.max_distance: expected at least 2, got 1",
        ),
        (
            ["+model.cell.bias_init={forgt: jax.nn.initializers.ones}"],
            "model.cell.bias_init: 'forgt' is none of the gates that have one, which are input, forget, candidate, ",
        ),
        ([*CELL, "model.cell._target_=builtins.object"], "model.cell: TypeError: object() takes no arguments ("),
        ([*CELL, "model.cell._target_=rnnbench.cells.GatedCell"], "model.cell: TypeError: GatedCell must define gates"),
        (
            [*CELL, "model.cell._target_=tests.commands.test_bad_input.NoCell"],
            "model.cell._target_: expected a subclass of flax.nnx.RNNCellBase, got NoCell",
        ),
        (
            ["task._target_=rnnbench.tasks.Task", "~task.length", "~task.form"],
            "task: TypeError: Can't instantiate abstract class Task",
        ),
        (
            [*(f"~optimizer.{key}" for key in ("learning_rate", "b1", "b2", "eps")), "optimizer._target_=builtins.int"],
            "optimizer._target_: expected what makes an optax.GradientTransformation, such as optax.adam, got builtins",
        ),
        (["task._target_=rnnbench.cells.LSTM", "~task.length", "~task.form"], "task.in_features: missing"),
        (
            ["model=lstm", "+model.cell.bias_init={forgte: {_target_: jax.nn.initializers.constant, value: 2}}"],
            "model.cell.bias_init: 'forgte' is none of the gates that have one, which are input, forget, candidate, "
            "output. Did you mean forget?",
        ),
    ],
)
def test_what_only_building_finds_leaves_no_folder(run: Run, argv: list[str], message: str) -> None:
    code, said = run(*argv)
    assert (code, said.count("\n")) == (2, 1)
    assert said.startswith(f"rnnbench: error: {message}")
    assert not Path("results").exists()


def test_a_probe_that_does_not_exist_leaves_no_folder(run: Run) -> None:
    code, said = run("probe.at_end=[gate]")
    assert code == 2
    assert "probe.at_end.0: expected one of gate_traces, gates, " in said
    assert not Path("results").exists()


@pytest.mark.parametrize("smallest", ["train.batch_size=1", "train.test_size=1", "model.hidden_size=1"])
def test_the_smallest_sizes_train(run: Run, smallest: str) -> None:
    assert run(smallest, "train.steps=1", "probe.size=1")[0] == 0
    assert rnnbench.load_runs("results").status.tolist() == ["finished"]


@pytest.mark.parametrize(
    ("switch", "message"),
    [
        ("JAX_PLATFORMS=nowhere", "JAX_PLATFORMS: JAX cannot use 'nowhere' here; unset it, and JAX chooses itself: "),
        (
            "JAX_DEBUG_NANS=true",
            "adding rnn seed 0: JAX_DEBUG_NANS or JAX_DEBUG_INFS stopped it at a number that is not finite; unset both",
        ),
    ],
)
def test_a_switch_of_jax_that_stops_a_run(tiny: list[str], tmp_path: Path, switch: str, message: str) -> None:
    diverges = ["model=rnn", "optimizer=sgd", "train.clip_norm=null", "optimizer.learning_rate=1e30", "devices=1"]
    done = subprocess.run(
        ["env", switch, sys.executable, "-m", "rnnbench", *tiny, *diverges],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert done.stderr.startswith(f"rnnbench: error: {message}")


def test_a_folder_of_something_else_is_left_alone(run: Run) -> None:
    assert run()[0] == 0
    shutil.rmtree(mine := folder())
    mine.mkdir()
    (mine / "notes.txt").write_text("mine")
    for argv in ([], ["overwrite=true"]):
        code, said = run(*argv)
        assert (code, said.count("\n")) == (2, 1)
        assert f"{mine} holds files that rnnbench did not write (notes.txt, no provenance.json); empty it or" in said
    assert (mine / "notes.txt").read_text() == "mine"


def test_a_file_in_the_place_of_the_results(run: Run) -> None:
    Path("results").write_text("mine")
    code, said = run()
    assert (code, said.count("\n")) == (2, 1)
    assert said.endswith(", got the file results; choose another output=\n")
    assert Path("results").read_text() == "mine"


def test_a_broken_table_is_named_and_trained_again(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run()[0] == 0
    table = folder() / "runs.arrow"
    whole = table.read_bytes()
    table.write_bytes(whole[:100])
    capsys.readouterr()
    assert cli.main(["show", "results"]) == 2
    assert f"rnnbench: error: {table} is damaged" in capsys.readouterr().err
    code, said = run()
    assert code == 0
    assert f"{table} is damaged" in said
    assert table.read_bytes() == whole


def test_without_its_checkpoints_a_run_begins_again_and_ends_the_same(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run()[0] == 0
    tables = {path.name: path.read_bytes() for path in folder().glob("*.parquet")}
    shutil.rmtree("results")

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Records, "finish", interrupt)
        code, said = run()
        assert (code, said.splitlines()[-1]) == (130, "rnnbench: stopped; the same command resumes from what is saved")
    assert rnnbench.load_runs("results").status.tolist() == ["running"]
    shutil.rmtree(folder() / "checkpoints")
    assert run()[0] == 0
    assert {path.name: path.read_bytes() for path in folder().glob("*.parquet")} == tables
    sessions = json.loads((folder() / "provenance.json").read_text())["sessions"]
    assert [session["from_step"] for session in sessions] == [0, 0]


def test_a_run_that_diverges_in_a_sweep_stops_no_other(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    sweep = ["-m", "optimizer=sgd", "train.clip_norm=null", "optimizer.learning_rate=1e30,0.01"]
    code, said = run(*sweep)
    assert code == 3
    _, _, summary = said.partition("rnnbench: error: ")
    assert "1 of 2 runs diverged, among them" in summary
    assert sorted(rnnbench.load_runs("results").status) == ["diverged", "finished"]
    assert run(*sweep)[0] == 3, "it is not forgotten the second time"
    capsys.readouterr()
    assert cli.main(["show", "results"]) == 0
    assert "1 run diverged, left out" in " ".join(capsys.readouterr().out.split())


def test_only_diverged_runs_are_shown_as_such(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("optimizer=sgd", "train.clip_norm=null", "optimizer.learning_rate=1e30")[0] == 3
    assert cli.main(["show", "results"]) == 0
    printed = capsys.readouterr()
    assert "1 run diverged, left out" in " ".join(printed.out.split())
    assert printed.err == ""


@pytest.mark.parametrize("command", ["status", "show", "compare", "report", "probe"])
@pytest.mark.parametrize(
    ("where", "message"),
    [
        ("nowhere", "nowhere: there is no such folder; expected one that rnnbench wrote"),
        ("empty", "empty: no "),
        ("file", "file is a file; expected a folder that rnnbench wrote"),
        ("", "expected a folder that rnnbench wrote, got ''; the current one is ."),
        ("a\nb", "a\\nb: there is no such folder"),
    ],
)
def test_there_is_nothing_to_read(
    run: Run, capsys: pytest.CaptureFixture[str], command: str, where: str, message: str
) -> None:
    Path("empty").mkdir()
    Path("file").touch()
    assert cli.main([command, where]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"rnnbench: error: {message}")
    assert said.count("\n") == 1
    assert sorted(path.name for path in Path().rglob("*")) == ["empty", "file"]


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["compare", ".", "--tune", "x", "--tuning-seeds", "5-3"], "expected ranges of 1 to 10000 seeds, got '5-3'; "),
        (["compare", ".", "--tune", "x", "--tuning-seeds", "0-99999999999"], "expected ranges of 1 to 10000 seeds, "),
        (["show"], "the following arguments are required: DIR; `rnnbench show --help` explains the command line"),
    ],
)
def test_a_command_line_that_cannot_be_read_is_one_line(
    run: Run, capsys: pytest.CaptureFixture[str], argv: list[str], message: str
) -> None:
    assert cli.main(argv) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1


@pytest.mark.parametrize("number", ["1e39", "-1e39", "1e-50", "-1e-39"])
@pytest.mark.parametrize("key", ["optimizer.learning_rate", "train.clip_norm", "model.cell.forget_bias"])
def test_numbers_that_32_bits_do_not_hold(run: Run, key: str, number: str) -> None:
    code, said = run("model=lstm", f"{key}={number}")
    assert (code, said.count("\n")) == (2, 1)
    assert "expected 0, or a number between 1.2e-38 and 3.4e+38 or its negative (JAX computes in 32 bits)" in said
    assert not Path("results").exists()


def test_a_probe_that_a_finished_run_lacks_is_said(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("probe.at_end=[gates]", "model=gru")[0] == 0
    before = {path.name: path.read_bytes() for path in folder().glob("*.parquet")}
    code, said = run("probe.at_end=[gates,memory]", "model=gru")
    assert code == 0
    assert f"so memory is not measured; rnnbench probe {folder()} --probes memory measures it" in said
    assert "not measured" not in run("probe.at_end=[gates]", "model=gru")[1]
    assert run("probe.at_end=[gate]", "model=gru")[0] == 2
    assert run_command(["probe", str(folder()), "--probes", "memory", "--size", "16"]) == 0
    capsys.readouterr()
    assert "not measured" not in run("probe.at_end=[gates,memory]", "model=gru")[1]
    assert {path.name: path.read_bytes() for path in folder().glob("*.parquet")} == before
