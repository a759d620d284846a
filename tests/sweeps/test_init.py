"""Initialisation as an axis of a sweep: what folds, what is left out, and what is refused."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import rnnbench
from rnnbench.commands import cli
from rnnbench.config.identity import run_id
from rnnbench.config.schema import Config
from rnnbench.errors import UserError
from rnnbench.records.folders import job_folders

Compose = Callable[..., Config]
SMALL = ("task.length=5", "model.hidden_size=4", "train.steps=4", "train.eval_every=2", "train.test_size=8")


def sweep(tmp_path: Path, *overrides: str) -> int:
    return cli.main(["-m", *SMALL, "report=false", f"output={tmp_path}", *overrides])


def test_a_combination_that_does_not_go_together_is_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert sweep(tmp_path, "model=rnn,lstm,indrnn", "init=default,orthogonal,chrono") == 0
    runs = rnnbench.load_runs(tmp_path)
    inits = runs["init.name"].astype(object).where(runs["init.name"].notna(), "default")
    found = {*zip(runs["model.name"], inits, strict=True)}
    both = {("rnn", "orthogonal"), ("lstm", "orthogonal"), ("lstm", "chrono")}
    assert found == both | {(cell, "default") for cell in ("rnn", "lstm", "indrnn")}
    said = capsys.readouterr().err
    assert "a sweep of 6 runs" in said
    assert " lstm chrono seed 0  finished" in said
    assert said.count("left out: ") == 3
    assert "left out: init=chrono with model=rnn: expected a cell with a gate that keeps a state" in said
    assert "left out: init=orthogonal with model=indrnn: expected a cell with a recurrent kernel; no gate of" in said


def test_a_sweep_in_python_leaves_out_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    configs = rnnbench.compose_sweep("model=rnn,gru", "init=identity,chrono")
    assert [(config.model.name, config.init and config.init["name"]) for config in configs] == [
        ("rnn", "identity"),
        ("gru", "identity"),
        ("gru", "chrono"),
    ]
    assert capsys.readouterr().err.count("left out: init=chrono with model=rnn: ") == 1
    with pytest.raises(UserError, match="init=chrono with model=rnn: expected a cell with a gate that keeps a state"):
        rnnbench.compose_sweep("model=rnn", "init=chrono")


@pytest.mark.parametrize("axis", ["init.scale=0.5,1.0,2.0", "init=chrono init.longest=5.0,50.0,500.0"])
def test_its_numbers_fold(tmp_path: Path, axis: str) -> None:
    """Each run of the population starts, and so is trained, as it would be alone."""
    *init, numbers = ["init=orthogonal", *axis.split()]
    assert sweep(tmp_path / "together", *init, numbers) == 0
    assert len([*job_folders(tmp_path / "together")]) == 1
    key, _, values = numbers.partition("=")
    for value in values.split(","):
        rnnbench.train(rnnbench.compose(*SMALL, *init, f"{key}={value}", f"output={tmp_path / 'alone'}"))
    together, alone = (rnnbench.load_metrics(tmp_path / name) for name in ("together", "alone"))
    assert together["run_id"].nunique() == 3
    np.testing.assert_allclose(together["value"], alone["value"], rtol=1e-4, atol=1e-6)
    losses = alone[(alone["metric"] == "loss") & (alone["step"] == 0)]["value"]
    assert losses.nunique() == 3, "the number has no effect"


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["model=lstm", "init=chrono", "model.cell.forget_bias=2"], r"model\.cell\.forget_bias would have no effect"),
        (["model=gru", "init=bias", "model.cell.update_bias=1"], r"model\.cell\.update_bias would have no effect"),
        (["model=irnn", "init=orthogonal"], r"model\.cell\.recurrent_kernel_init would have no effect"),
        (["init=chrono", "init.longest=2"], r"init\.longest: expected more than 2 steps, got 2"),
        (["init=sparse", "init.connections=0"], r"init\.connections: expected 1 or more, got 0"),
        (
            ["init=chrono", "init._target_=rnnbench.cells.chrono"],
            r"init\._target_: expected what makes an .*Initialization, got rnnbench\.cells\.chrono, which makes a dict",
        ),
    ],
)
def test_what_cannot_be_is_refused(tmp_path: Path, compose: Compose, overrides: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        rnnbench.train(compose(*SMALL, *overrides, f"output={tmp_path}"))


def test_an_option_that_init_replaces_cannot_be_an_axis(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert sweep(tmp_path, "model=lstm", "init=chrono", "model.cell.forget_bias=1.0,2.0") == 2
    assert "init=chrono with model=lstm: model.cell.forget_bias would have no effect" in capsys.readouterr().err
    assert not [*tmp_path.iterdir()]


def test_the_default_has_the_identity_of_before(compose: Compose) -> None:
    assert compose("init=default").init is None
    assert run_id(compose("init=default")) == run_id(compose())


def test_a_recorded_run_is_read_with_its_initialisation(tmp_path: Path, compose: Compose) -> None:
    rnnbench.train(
        compose(*SMALL, "init=identity", "init.scale=0.5", "optimizer.learning_rate=0", f"output={tmp_path}")
    )
    [folder] = job_folders(tmp_path)
    kernels = rnnbench.load_model(folder).layers[0].recurrent_kernels()
    for kernel in kernels.values():
        np.testing.assert_array_equal(kernel, 0.5 * np.eye(4))
    assert cli.main(["probe", str(folder)]) == 0
