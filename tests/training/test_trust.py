"""Recorded configurations that name code: what reading them calls, and what it refuses before anything happens."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

import rnnbench
from rnnbench.config.schema import Config
from rnnbench.errors import UserError
from rnnbench.records.seals import sealed_yaml
from rnnbench.training import runner
from rnnbench.training.trained import read_config
from tests.helpers import optax_promotion, run_command

ROOT = Path(__file__).parents[2]

STRANGER = """
from pathlib import Path
from typing import Any

import jax
import optax
from flax import nnx
from numpy import save

import rnnbench.cells

MARK = Path(__file__).with_name("mark")
MARK.with_name("imported").touch()


class Cell(rnnbench.cells.LSTM):
    pass


def harm(*_: Any, **__: Any):
    MARK.touch()


def harm_that_says_so(*_: Any, **__: Any) -> None:
    MARK.touch()


def ones(scale: float = 1.0) -> jax.nn.initializers.Initializer:
    return jax.nn.initializers.constant(scale)


def half(key: jax.Array, shape: tuple[int, ...], dtype: Any = None) -> jax.Array:
    return jax.numpy.full(shape, 0.5, dtype)


def adam(learning_rate: float) -> optax.GradientTransformation:
    return optax.adam(learning_rate)
"""


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, tiny: list[str]) -> Path:
    output = tmp_path_factory.mktemp("trained")
    assert run_command([*tiny, "model=lstm", f"output={output}"]) == 0
    return output


@pytest.fixture
def stranger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Returns the folder of a package, importable, whose function `harm` creates a file named mark beside it."""
    (tmp_path / "stranger.py").write_text(STRANGER)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "stranger", raising=False)
    yield tmp_path
    sys.modules.pop("stranger", None)


def changed(trained: Path, to: Path, **nodes: Any) -> Path:
    """Returns a copy of the job folder, with these dotted keys in its configuration."""
    shutil.copytree(trained, to)
    [folder] = [path.parent for path in to.rglob("provenance.json")]
    config = yaml.safe_load((folder / "config.yaml").read_text())
    for key, value in nodes.items():
        *parents, last = key.split(".")
        node = config
        for parent in parents:
            node = node[parent]
        node[last] = value
    (folder / "config.yaml").write_bytes(sealed_yaml(config))  # a stranger can seal a file, too
    return folder


NODE = {"_target_": "stranger.harm"}
NAMING = {
    "a cell": {"model.cell": NODE},
    "a task": {"task": {"name": "adding", **NODE}},
    "an optimizer": {"optimizer": NODE},
    "an argument": {"model.cell.kernel_init": NODE},
    "a function by its name": {"model.cell.kernel_init": "stranger.harm"},
    "a function of a gate": {"model.cell.bias_init": {"forget": "stranger.harm"}},
    "a positional argument": {"optimizer": {"_target_": "optax.adam", "_args_": [NODE]}},
    "a part of an argument": {"optimizer": {"_target_": "optax.adamw", "mask": {"deep": [NODE]}}},
    "a member of a population": {"population.members": {"model.cell._target_": ["stranger.harm"]}},
    "a member's node": {"population.members": {"optimizer.learning_rate": [NODE]}},
}


@pytest.mark.parametrize("nodes", NAMING.values(), ids=NAMING)
def test_a_package_that_was_not_allowed_is_not_even_imported(trained: Path, stranger: Path, nodes: Any, capsys) -> None:
    folder = changed(trained, stranger / "results", **nodes)
    assert run_command(["probe", str(folder)]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert f"{folder / 'config.yaml'}: " in said
    assert "names stranger.harm, and reading results runs only rnnbench's own cells and tasks" in said
    assert 'if you trust the package stranger, allow it: --allow stranger on the command line, allow=("str' in said
    with pytest.raises(UserError, match=r"names stranger\.harm, and reading"):
        rnnbench.load_model(folder)
    assert not (stranger / "imported").exists()
    assert not (stranger / "mark").exists()


@pytest.mark.parametrize(
    ("place", "words"),
    [
        ("model.cell", "model.cell._target_: expected a subclass of flax.nnx.RNNCellBase, got stranger."),
        ("task", "task._target_: expected a subclass of rnnbench.tasks.Task, got stranger."),
        ("optimizer", "optimizer._target_: expected a function annotated to return an optax.GradientTransformation"),
        ("model.cell.kernel_init", "kernel_init._target_: expected a function annotated to return an array, a funct"),
    ],
)
@pytest.mark.parametrize("function", ["harm", "harm_that_says_so"])
def test_an_allowed_package_does_not_get_just_anything_called(
    trained: Path, stranger: Path, place: str, words: str, function: str, capsys
) -> None:
    node = {"name": "adding", "_target_": f"stranger.{function}"}
    folder = changed(trained, stranger / "results", **{place: node})
    assert run_command(["probe", str(folder), "--allow", "stranger"]) == 2
    said = capsys.readouterr().err
    assert words in said
    assert "which is not called" in said
    assert not (stranger / "mark").exists()


def test_a_function_by_its_name_must_say_that_it_returns_an_array(trained: Path, stranger: Path) -> None:
    folder = changed(trained, stranger / "results", **{"model.cell.kernel_init": "stranger.harm"})
    with pytest.raises(UserError, match=r"model.cell.kernel_init: expected .*, got stranger.harm, which is not called"):
        rnnbench.load_model(folder, allow=("stranger",))
    assert not (stranger / "mark").exists()


def test_an_allowed_package_gives_only_what_it_defines(trained: Path, stranger: Path) -> None:
    folder = changed(trained, stranger / "results", **{"model.cell._target_": "stranger.nnx.LSTMCell"})
    with pytest.raises(UserError, match=r"expected what is defined in the packages that are allowed"):
        rnnbench.load_model(folder, allow=("stranger",))


@pytest.mark.parametrize(
    "nodes",
    [
        {"model.cell._target_": "stranger.Cell"},
        {"model.cell.kernel_init": {"_target_": "stranger.ones", "scale": 2}},
        {"model.cell.kernel_init": "stranger.half"},
        {"optimizer": {"_target_": "stranger.adam", "learning_rate": 0.1}},
    ],
)
def test_what_an_allowed_package_has_for_a_place_is_used(trained: Path, stranger: Path, nodes: Any) -> None:
    _, [config] = read_config(changed(trained, stranger / "results", **nodes), ["stranger"])
    assert "stranger" in str(config)


def test_a_model_of_an_allowed_package_is_loaded(compose: Callable[..., Config], stranger: Path) -> None:
    (stranger / "conf/model").mkdir(parents=True)
    (stranger / "conf/model/own.yaml").write_text("name: own\ncell:\n  _target_: stranger.Cell\n")
    small = ["task=adding", "task.length=6", "train.steps=2", "train.test_size=16", f"output={stranger / 'results'}"]
    runner.train(rnnbench.compose("model=own", *small, config_dir=stranger / "conf"))
    with pytest.raises(UserError, match=r"names stranger\.Cell"):
        rnnbench.load_model(stranger / "results")
    assert type(rnnbench.load_model(stranger / "results", allow=("stranger",)).layers[0]).__name__ == "Cell"


@pytest.mark.parametrize(
    "name",
    [
        "pandas.read_pickle",
        "numpy.save",
        "jax.numpy.load",
        "jax.numpy.save",
        "jax.profiler.start_trace",
        "jax.nn.initializers.np.save",
        "flax.nnx.jit",
        "hydra.utils.get_object",
        "functools.partial",
        "rnnbench.config.objects.partial",
        "rnnbench.cells.base.np.save",
    ],
)
def test_what_reads_and_writes_files_is_refused(trained: Path, tmp_path: Path, name: str) -> None:
    for number, node in enumerate((name, {"_target_": name, "file": str(tmp_path / "mark"), "arr": [1]})):
        folder = changed(trained, tmp_path / f"results{number}", **{"model.cell.kernel_init": node})
        with pytest.raises(UserError, match=f"kernel_init.*{name}"):
            rnnbench.load_model(folder)
    assert not list(tmp_path.glob("mark*"))


@pytest.mark.parametrize(
    "nodes",
    [
        {"model.cell.kernel_init": {"_target_": "jax.nn.initializers.orthogonal", "scale": 2}},
        {"model.cell.kernel_init": "rnnbench.cells.identity_matrix"},
        {"model.cell.bias_init": {"_target_": "rnnbench.cells.chrono", "longest": 5}},
        {"model.cell._target_": "rnnbench.cells.lstm.LSTM"},
        {"model.cell": {"_target_": "flax.nnx.OptimizedLSTMCell", "activation_fn": "jax.nn.relu"}},
        {"model.cell": {"_target_": "flax.nnx.SimpleCell", "activation_fn": "jax.numpy.sin"}},
        {"optimizer": {"_target_": "optax.nadam", "learning_rate": 0.1}},
        {"optimizer.learning_rate": {"_target_": "optax.cosine_decay_schedule", "init_value": 1, "decay_steps": 9}},
        {"logger": {"_target_": "stranger.Logger"}},
    ],
)
def test_usual_configurations_are_read(trained: Path, tmp_path: Path, nodes: Any) -> None:
    with optax_promotion():
        _, [config] = read_config(changed(trained, tmp_path / "results", **nodes))
    assert config.logger is None


@pytest.mark.parametrize(
    "nodes",
    [
        {"optimizer.learning_rate": "${oc.create:{_target_: stranger.harm}}"},
        {"optimizer.learning_rate": "\\${oc.create:{_target_: stranger.harm}}"},
        {"task.name": "${oc.env:HOME}"},
    ],
)
def test_interpolations_are_refused(trained: Path, stranger: Path, nodes: Any) -> None:
    folder = changed(trained, stranger / "results", **nodes)
    with pytest.raises(UserError, match=r"config.yaml: expected plain values, as rnnbench records them, got .*\$\{oc"):
        rnnbench.load_model(folder, allow=("stranger",))
    assert not (stranger / "mark").exists()


def test_a_probe_refuses_the_switches_that_training_refuses(trained: Path, tmp_path: Path) -> None:
    results = shutil.copytree(trained, tmp_path / "results")
    command = [sys.executable, "-m", "rnnbench", "probe", str(results)]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "JAX_ENABLE_X64": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("rnnbench: error: JAX_ENABLE_X64: expected false, got true")
    assert not list(results.rglob("probes"))
