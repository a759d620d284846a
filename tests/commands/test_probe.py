"""`rnnbench probe` on a linear network with known spectra, on a population, and on what cannot be probed."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml

import rnnbench
from rnnbench.records.reader import read_runs
from rnnbench.records.writer import Records
from tests.helpers import run_command

STUDIES = Path(__file__).parents[2] / "experiments"


@pytest.fixture(scope="module")
def linear(tmp_path_factory: pytest.TempPathFactory, tiny: list[str]) -> Path:
    """Returns the folder of two untrained linear networks with an orthogonal U."""
    output = tmp_path_factory.mktemp("linear")
    cell = ["model=rnn", "model.cell.activation=identity", "optimizer.learning_rate=0"]
    assert run_command([*tiny, *cell, "task.length=9", "-m", "seed=0,1", f"output={output}"]) == 0
    assert run_command(["probe", str(output), "--size", "40", "--set", "jacobians.lags=[1,4,9]"]) == 0
    return output


def test_spectra_of_a_linear_network(linear: Path) -> None:
    spectra = rnnbench.load_table(linear, "spectra")
    assert spectra.groupby("run_id").size().nunique() == 1
    singular = spectra[spectra["kind"] == "singular_value"]
    assert set(singular["lag"]) == {1, 4, 9}
    assert set(singular["state"]) == {"h"}
    np.testing.assert_allclose(singular["value"], 1, rtol=1e-4)
    np.testing.assert_allclose(spectra["value"][spectra["kind"] == "lyapunov_exponent"], 0, atol=1e-4)
    radii = spectra[spectra["kind"] == "spectral_radius"]
    assert set(radii["state"]) == {"hidden"}
    np.testing.assert_allclose(radii["value"], 1, rtol=1e-4)


def test_gates_and_memory_have_every_unit_and_step(linear: Path) -> None:
    hidden = int(rnnbench.load_runs(linear)["model.hidden_size"].iloc[0])
    gates, memory = rnnbench.load_table(linear, "gates"), rnnbench.load_table(linear, "memory")
    assert len(gates) == 2 * 9 * hidden
    assert rnnbench.load_table(linear, "retention").empty, "no gate retains the state"
    assert (gates["low"] + gates["high"] <= 1 + 1e-6).all()
    assert set(memory["state"]) == {"h"}, "the only state"
    assert memory.groupby("run_id")["time"].apply(list).tolist() == [list(range(9))] * 2
    assert memory["r2"][memory["time"] == 0].min() > 0.9
    assert rnnbench.load_table(linear, "gate_traces").empty, "the adding problem has no words"


def test_a_trained_lstm_has_gates_between_0_and_1(tmp_path: Path, tiny: list[str], capsys) -> None:
    train = ["model=lstm", "task=sentence_completion", "task.max_distance=16", "train.steps=2", f"output={tmp_path}"]
    tiny = [override for override in tiny if not override.startswith("task.length")]
    assert run_command([*tiny, *train]) == 0
    traces = rnnbench.load_table(tmp_path, "gate_traces")
    assert set(traces["gate"]) == {"input", "forget", "candidate", "output"}
    first = traces[(traces["sentence"] == 0) & (traces["gate"] == "forget") & (traces["unit"] == 0)]
    assert " ".join(first["word"]).startswith("today , due to my current job situation")
    runs = [path.read_bytes() for path in sorted(tmp_path.rglob("runs.arrow"))]
    capsys.readouterr()
    assert run_command(["probe", str(tmp_path), "--size", "16"]) == 0
    assert "LSTM" in capsys.readouterr().out
    assert [path.read_bytes() for path in sorted(tmp_path.rglob("runs.arrow"))] == runs
    again = rnnbench.load_table(tmp_path, "gate_traces")
    np.testing.assert_allclose(again["value"], traces["value"], atol=1e-6)
    gates, retention = rnnbench.load_table(tmp_path, "gates"), rnnbench.load_table(tmp_path, "retention")
    assert set(retention["state"]) == {"c"}
    forget = gates[gates["gate"] == "forget"].reset_index(drop=True)
    np.testing.assert_allclose(retention["mean"], forget["mean"])
    spectra = rnnbench.load_table(tmp_path, "spectra")
    assert set(spectra["state"][spectra["kind"] == "singular_value"]) == {"h", "h,c"}
    memory = rnnbench.load_table(tmp_path, "memory")
    assert set(memory["state"]) == {"h", "h,c"}
    assert run_command([*tiny, *train]) == 0, "a probed run is still complete"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "nowhere: there is no such folder"),
        ([str(STUDIES / "quickstart" / "results")], "no run with a checkpoint in it or below it"),
    ],
)
def test_what_cannot_be_probed_is_said(arguments: list[str], message: str, capsys) -> None:
    assert run_command(["probe", *arguments]) == 2
    assert message in capsys.readouterr().err


def test_what_was_probed_before_training_went_on_is_dropped(tmp_path: Path, tiny: list[str]) -> None:
    train = [*tiny, "model=rnn", f"output={tmp_path}"]
    assert run_command(train) == 0
    [folder] = [path.parent for path in tmp_path.rglob("provenance.json")]
    assert run_command(["probe", str(folder)]) == 0
    with Records(folder, yaml.safe_load((folder / "config.yaml").read_text())) as records:
        records.rewind(4, read_runs(folder))
    assert rnnbench.load_table(folder, "spectra").empty
    assert rnnbench.load_metrics(folder)["step"].max() == 4


def test_runs_are_named_by_what_differs_and_diverged_ones_left_out(tmp_path: Path, tiny: list[str], capsys) -> None:
    rates = ["optimizer=sgd", "train.clip_norm=null", "optimizer.learning_rate=1e-3,1e-2,1e30"]
    assert run_command([*tiny, "model=rnn", "-m", *rates, f"output={tmp_path}"]) == 3
    capsys.readouterr()
    assert run_command(["probe", str(tmp_path), "--size", "3"]) == 0
    printed = capsys.readouterr().out
    assert "1 of 3 runs diverged and are not probed" in printed
    assert "Adding: RNN, learning rate 0.001" in printed
    assert "Adding: RNN, learning rate 0.01" in printed
    assert rnnbench.load_table(tmp_path, "memory")["run_id"].nunique() == 2


@pytest.mark.parametrize("text", ["hello", "a: [", ""])
def test_a_broken_configuration_is_named(linear: Path, tmp_path: Path, text: str, capsys) -> None:
    [folder] = [path.parent for path in shutil.copytree(linear, tmp_path / "copy").rglob("provenance.json")]
    (folder / "config.yaml").write_text(text)
    assert run_command(["probe", str(folder)]) == 2
    assert f"{folder}/config.yaml: expected the configuration that rnnbench wrote" in capsys.readouterr().err


def test_without_a_whole_checkpoint_there_is_nothing_to_probe(linear: Path, tmp_path: Path, capsys) -> None:
    [folder] = [path.parent for path in shutil.copytree(linear, tmp_path / "copy").rglob("provenance.json")]
    shutil.rmtree(folder / "checkpoints")
    (folder / "checkpoints").mkdir()
    (folder / "checkpoints" / "8.orbax-checkpoint-tmp").mkdir()
    assert run_command(["probe", str(folder)]) == 2
    assert "expected a checkpoint, found none that is whole" in capsys.readouterr().err


def test_a_lag_beyond_the_answer_is_refused_and_nothing_lost(linear: Path, tmp_path: Path, capsys) -> None:
    copy = shutil.copytree(linear, tmp_path / "copy")
    before = rnnbench.load_table(copy, "spectra")
    assert run_command(["probe", str(copy), "--set", "jacobians.lags=[10]"]) == 2
    assert "probe jacobians.lags: expected 1 to the 9 steps up to the answer, got 10" in capsys.readouterr().err
    assert rnnbench.load_table(copy, "spectra").equals(before)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--probes", "gate"], "expected one of gate_traces, gates, gradient_flow, jacobians, memory, or the dotted"),
        (["--probes", "no.Probe"], "cannot import no.Probe"),
        (["--probes", "rnnbench.cells.LSTM"], "expected a subclass of rnnbench.probes.Probe"),
        (["--set", "jacobians.lags=[0]"], "jacobians.lags: expected whole numbers, 1 or more, got 0"),
        (["--set", "jacobians.lag=[1]"], "jacobians.lag: unknown key"),
        (["--set", "nothing=1"], "expected PROBE.ARGUMENT=VALUE"),
    ],
)
def test_mistakes_are_said(linear: Path, arguments: list[str], message: str, capsys) -> None:
    assert run_command(["probe", str(linear), *arguments]) == 2
    assert message in capsys.readouterr().err


def test_a_run_in_training_is_left_alone(linear: Path, tmp_path: Path, capsys) -> None:
    [folder] = [path.parent for path in shutil.copytree(linear, tmp_path / "copy").rglob("provenance.json")]
    with Records(folder, yaml.safe_load((folder / "config.yaml").read_text())):
        assert run_command(["probe", str(folder)]) == 2
    assert "is being trained by process" in capsys.readouterr().err


ODD = """
import jax.numpy as jnp
from flax import nnx


class Odd(nnx.RNNCellBase):
    def __init__(self, in_features, hidden_features, *, rngs):
        self.in_features, self.hidden_features = in_features, hidden_features
        self.dense = nnx.Linear(in_features + hidden_features, hidden_features, rngs=rngs)

    def __call__(self, carry, inputs):
        new = jnp.tanh(self.dense(jnp.concatenate([inputs, carry], -1)))
        return new, 2 * new

    def initialize_carry(self, input_shape, rngs=None, carry_init=None):
        return jnp.zeros((*input_shape[:-1], self.hidden_features))
"""


def test_a_foreign_cell_has_spectra_and_memory(
    tmp_path: Path, tiny: list[str], monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    """Its output is not one of its states, and its gates are unknown."""
    (tmp_path / "odd_cell.py").write_text(ODD)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "conf/model").mkdir(parents=True)
    (tmp_path / "conf/model/odd.yaml").write_text("name: odd\ncell:\n  _target_: odd_cell.Odd\n")
    output = tmp_path / "out"
    assert run_command([*tiny, "--config-dir", str(tmp_path / "conf"), "model=odd", f"output={output}"]) == 0
    assert run_command(["probe", str(output), "--allow", "odd_cell"]) == 0
    assert "Adding: odd" in capsys.readouterr().out
    assert rnnbench.load_table(output, "gates").empty
    assert set(rnnbench.load_table(output, "spectra")["kind"]) == {"singular_value", "lyapunov_exponent"}
    assert set(rnnbench.load_table(output, "memory")["state"]) == {"s0"}
