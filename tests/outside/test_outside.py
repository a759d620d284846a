"""An outside package, `tests/outside`, adds a cell and a task, each with one Python file and one YAML file."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from flax import nnx

import rnnbench
from rnnbench.cells import plain_unroll, unroll
from rnnbench.commands import cli
from rnnbench.tasks import Task
from rnnbench.testing import check_cell, check_task
from tests.helpers import run_command

ROOT = Path(__file__).parents[2]
OUTSIDE = ROOT / "tests/outside"
ENTRIES = {
    "console script": [str(Path(sys.executable).with_name("rnnbench"))],
    "python -m": [sys.executable, "-m", "rnnbench"],
}
TRAIN = [
    *("--config-dir", "conf", "model=ugrnn", "task=symbol_order", "task.length=6", "model.hidden_size=8"),
    *("optimizer.learning_rate=0.02", "train.steps=200", "train.eval_every=100", "train.batch_size=32"),
    *("train.test_size=256", "probe.size=4", "devices=1"),
]


@pytest.fixture
def cell_class(monkeypatch: pytest.MonkeyPatch) -> type[nnx.RNNCellBase]:
    monkeypatch.syspath_prepend(OUTSIDE)
    from update_gate_rnn import UpdateGateRNN

    return UpdateGateRNN


@pytest.fixture
def task_class(monkeypatch: pytest.MonkeyPatch) -> type[Task]:
    monkeypatch.syspath_prepend(OUTSIDE)
    from symbol_order import SymbolOrder

    return SymbolOrder


@pytest.mark.parametrize("entry", ENTRIES.values(), ids=ENTRIES)
def test_the_real_command_trains_its_cell_on_its_task(tmp_path: Path, entry: list[str]) -> None:
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [*entry, *TRAIN, f"output={tmp_path}"]
    done = subprocess.run(
        command, cwd=OUTSIDE, env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    [run] = rnnbench.load_runs(tmp_path).to_dict("records")
    assert (run["task.name"], run["model.name"]) == ("symbol_order", "ugrnn")
    assert run["model.cell._target_"] == "update_gate_rnn.UpdateGateRNN"
    assert (run["status"], run["step"], run["chance.accuracy"]) == ("finished", 200, 0.25)
    assert run["final.accuracy"] > 0.5, "it learns"
    assert set(rnnbench.load_scores(tmp_path).by) == {"distance"}
    flow = rnnbench.load_table(tmp_path, "gradient_flow")
    assert set(flow.state) == {"h"}
    assert (flow.norm > 0).all()
    measured = set(rnnbench.load_metrics(tmp_path).metric)
    assert {"accuracy", "grad_norm.layers.0.kernel", "grad_norm.layers.0.recurrent_kernel"} <= measured


def test_help_lists_its_options(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(OUTSIDE)
    assert cli.main(["--config-dir", "conf", "--help"]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "sru, ugrnn" in printed
    assert "symbol_order" in printed


def test_the_cell_takes_at_most_25_lines_and_a_few_of_yaml() -> None:
    assert len((OUTSIDE / "update_gate_rnn.py").read_text().splitlines()) <= 25
    assert len((OUTSIDE / "conf/model/ugrnn.yaml").read_text().splitlines()) <= 5


def test_the_cell_keeps_its_contract(cell_class: type[nnx.RNNCellBase]) -> None:
    check_cell(cell_class)


def test_the_task_keeps_its_contract(task_class: type[Task]) -> None:
    check_task(task_class(length=6))


def test_the_cell_is_the_equation_of_the_paper(cell_class: type[nnx.RNNCellBase]) -> None:
    cell = cell_class(2, 3, rngs=nnx.Rngs(0))
    h, x = jax.random.normal(jax.random.key(1), (3,)), jax.random.normal(jax.random.key(2), (2,))
    (w_g, w_c), (u_g, u_c) = np.split(cell.kernel[...], 2, axis=1), np.split(cell.recurrent_kernel[...], 2, axis=1)
    g = 1 / (1 + np.exp(-(x @ w_g + h @ u_g)))
    c = np.tanh(x @ w_c + h @ u_c)
    _, output = cell((h,), x)
    np.testing.assert_allclose(output, g * h + (1 - g) * c, rtol=1e-5)


def test_the_cell_takes_the_fast_path(cell_class: type[nnx.RNNCellBase]) -> None:
    cell = cell_class(2, 3, rngs=nnx.Rngs(0))
    inputs = jax.random.normal(jax.random.key(1), (5, 4, 2))  # time, batch, features
    carry = cell.initialize_carry((4, 2))

    def primitives(run: Callable[..., Any]) -> set[str]:
        return {str(equation.primitive) for equation in jax.make_jaxpr(lambda x: run(cell, x, carry))(inputs).eqns}

    assert "custom_vjp_call" in primitives(unroll), "its gradient is left to automatic differentiation"
    assert "custom_vjp_call" not in primitives(plain_unroll)
    np.testing.assert_allclose(unroll(cell, inputs, carry)[1], plain_unroll(cell, inputs, carry)[1], rtol=1e-5)


def test_a_length_that_the_task_cannot_have(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.chdir(OUTSIDE)
    assert cli.main([*TRAIN, "task.length=1", "devices=null", f"output={tmp_path}"]) == 2
    assert capsys.readouterr().err == "rnnbench: error: task.length: expected at least 2, got 1\n"


def test_a_probe_is_one_file(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, tiny: list[str]
) -> None:
    """It is measured in training and from a checkpoint, recorded, loaded and drawn. No other file mentions it."""
    monkeypatch.syspath_prepend(OUTSIDE)
    probe = "effective_rank.EffectiveRank"
    train = [*tiny, "-m", "model=rnn,lstm", "probe.at_evaluation=[effective_rank.EffectiveRank]"]
    assert run_command([*train, f"output={tmp_path}"]) == 0
    in_training = rnnbench.load_table(tmp_path, "effective_rank")
    assert in_training.columns.tolist() == ["run_id", "step", "time", "rank"]
    assert in_training.groupby(["run_id", "step"]).size().tolist() == [6] * 2 * 3, "every step, at 3 evaluations"
    assert in_training["rank"].between(1 - 1e-5, 4 + 1e-5).all(), "of four units"
    assert run_command(["probe", str(tmp_path), "--probes", probe, "--size", "4"]) == 0
    printed = capsys.readouterr()
    assert "rank: effective rank of the states at the answer" in printed.out
    probed = rnnbench.load_table(tmp_path, "effective_rank")
    last = in_training[in_training["step"] == in_training["step"].max()].reset_index(drop=True)
    np.testing.assert_allclose(probed["rank"], last["rank"], rtol=1e-4, err_msg="the same model and batch")
    assert cli.main(["show", str(tmp_path), "--probes", probe]) == 0
    assert (tmp_path / "figures" / "draw_effective_rank.png").exists()
    assert cli.main(["report", str(tmp_path), "--probes", probe]) == 0
    assert "<figcaption>draw effective rank</figcaption>" in (tmp_path / "report.html").read_text()


@pytest.mark.parametrize("name", ["update_gate_rnn.py", "symbol_order.py", "effective_rank.py"])
def test_the_readme_shows_the_file_as_it_is(name: str) -> None:
    assert f"```python\n{(OUTSIDE / name).read_text()}```" in (ROOT / "README.md").read_text()
