"""Arguments are checked before a `_target_` is called, with unchanged optimizers of optax and cells of flax."""

import functools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flax import nnx

import rnnbench.cells
from rnnbench.config import objects
from rnnbench.config.schema import CELL_ARGUMENTS
from rnnbench.errors import UserError

ADAM = {"_target_": "optax.adam", "learning_rate": 1e-3}


@pytest.mark.parametrize(
    "values",
    [
        {"learning_rate": 1},
        {"b1": 0},
        {"nesterov": True},
        {"mu_dtype": "bfloat16"},
        {"mu_dtype": None},
        {"learning_rate": {"_target_": "optax.cosine_decay_schedule", "init_value": 0.1, "decay_steps": 10}},
    ],
)
def test_what_optax_takes_is_accepted(values: dict[str, Any]) -> None:
    objects.checked(ADAM | values, "optimizer")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"learning_rate": True},
            "optimizer.learning_rate: expected a number or the dotted name of a function, got true",
        ),
        ({"b1": "x"}, "optimizer.b1: expected a number, got 'x'"),
        ({"nesterov": 1}, "optimizer.nesterov: expected true or false, got 1"),
        (
            {"learning_rate": {"_target_": "optax.cosine_decay_schedule", "init_value": 0.1}},
            "optimizer.learning_rate.decay_steps: missing; optax.cosine_decay_schedule needs it",
        ),
        (
            {"_target_": "adam"},
            "optimizer._target_: expected the dotted name of a class or function, such as optax.adam",
        ),
        ({"_target_": "optax.__version__"}, "optimizer._target_: expected a class or function, got optax.__version__"),
    ],
)
def test_what_optax_does_not_take_is_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError) as error:
        objects.checked(ADAM | values, "optimizer")
    assert message in str(error.value)


@pytest.mark.parametrize("cell", ["LSTMCell", "OptimizedLSTMCell", "GRUCell", "SimpleCell"])
def test_cells_of_flax_are_accepted(cell: str) -> None:
    node = {
        "_target_": f"flax.nnx.{cell}",
        "recurrent_kernel_init": {"_target_": "jax.nn.initializers.orthogonal", "scale": 1},
    }
    build = objects.partial(node, "model.cell", given=CELL_ARGUMENTS)
    assert isinstance(build(2, 3, rngs=nnx.Rngs(0)), getattr(nnx, cell))
    with pytest.raises(UserError, match=r"model\.cell\.keep_rngs: expected true or false, got 'no'"):
        objects.checked(node | {"keep_rngs": "no"}, "model.cell", given=CELL_ARGUMENTS)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"use_bais": False}, r"model\.cell\.use_bais: unknown key; rnnbench\.cells\.LSTM takes .*mean use_bias\?"),
        ({"use_bias": "no"}, r"model\.cell\.use_bias: expected true or false, got 'no'"),
    ],
)
def test_what_a_constructor_hands_on_to_its_base_is_checked(options: dict[str, Any], message: str) -> None:
    lstm = {"_target_": "rnnbench.cells.LSTM"}
    objects.checked(lstm | {"use_bias": False}, "model.cell", given=CELL_ARGUMENTS)
    with pytest.raises(UserError, match=message):
        objects.checked(lstm | options, "model.cell", given=CELL_ARGUMENTS)


def test_a_word_is_no_list_of_letters() -> None:
    node = {"_target_": "rnnbench.tasks.SentenceCompletion", "kinds": "tense"}
    with pytest.raises(UserError, match=r"task\.kinds: expected a list, each item a string, got 'tense'"):
        objects.checked(node, "task")
    objects.checked(node | {"kinds": ["tense"]}, "task")
    with pytest.raises(UserError, match=r"task\.kinds: expected a list, each item a string, got"):
        objects.checked(node | {"kinds": ["tense"] * 20 + [1]}, "task")


@pytest.mark.parametrize(
    ("node", "key", "value"),
    [
        (ADAM | {"learning_rate": 1}, "learning_rate", 1.0),  # the annotation takes a number, an array or a schedule
        (ADAM | {"b1": 0}, "b1", 0.0),  # the annotation takes anything that becomes an array
        ({"_target_": "optax.sgd", "learning_rate": 1, "momentum": None}, "momentum", None),
        ({"_target_": "rnnbench.cells.LSTM", "forget_bias": 2}, "forget_bias", 2.0),
        ({"_target_": "rnnbench.cells.LSTM", "param_dtype": "bfloat16"}, "param_dtype", "bfloat16"),
        ({"_target_": "rnnbench.tasks.Adding", "length": 7}, "length", 7),
        ({"_target_": "rnnbench.tasks.SentenceCompletion", "distance": 4}, "distance", 4),
        ({"_target_": "jax.nn.initializers.orthogonal", "scale": 2}, "scale", 2.0),  # takes anything; default: float
        ({"_target_": "numbers_by_default.build", "rate": 3, "steps": 3, "rates": [1, 2.5]}, "rate", 3.0),
        ({"_target_": "numbers_by_default.build", "rate": 3, "steps": 3, "rates": [1, 2.5]}, "steps", 3),
        ({"_target_": "numbers_by_default.build", "rate": 3, "steps": 3, "rates": [1, 2.5]}, "rates", [1.0, 2.5]),
    ],
)
def test_numbers_have_the_type_of_their_argument(
    node: dict[str, Any], key: str, value: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = "def build(rate=0.5, steps=2, rates: list[float] = None): pass\n"
    (tmp_path / "numbers_by_default.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    given = CELL_ARGUMENTS if "cells" in node["_target_"] else ()
    found = objects.checked(node, "it", given)[key]
    assert repr(found) == repr(value)


def test_numbers_of_nested_nodes_have_the_type_of_their_argument() -> None:
    schedule = {"_target_": "optax.cosine_decay_schedule", "init_value": 1, "decay_steps": 10}
    found = objects.checked(ADAM | {"learning_rate": schedule}, "optimizer")["learning_rate"]
    assert {key: type(value) for key, value in found.items()} == {
        "_target_": str,
        "init_value": float,
        "decay_steps": int,
    }


def test_a_function_by_its_name() -> None:
    node = {"_target_": "rnnbench.cells.VanillaRNN", "recurrent_kernel_init": "rnnbench.cells.identity_matrix"}
    assert objects.checked(node, "model.cell", CELL_ARGUMENTS) == node, "the name is what identifies it"
    build = objects.partial(node, "model.cell", CELL_ARGUMENTS)
    assert build.keywords == {"recurrent_kernel_init": rnnbench.cells.identity_matrix}
    np.testing.assert_array_equal(build(2, 3, rngs=nnx.Rngs(0)).recurrent_kernel[...], np.eye(3))


def test_functions_by_their_names_for_some_gates() -> None:
    constant = {"_target_": "jax.nn.initializers.constant", "value": 2}
    node = {"_target_": "rnnbench.cells.LSTM", "bias_init": {"forget": "jax.nn.initializers.ones", "input": constant}}
    cell = objects.partial(node, "model.cell", CELL_ARGUMENTS)(2, 3, rngs=nnx.Rngs(0))
    np.testing.assert_array_equal(cell.bias[...], np.repeat([2.0, 1.0, 0.0, 0.0], 3))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"kernel_init": 3}, "model.cell.kernel_init: expected the dotted name of a function or keys and values, got"),
        (
            {"kernel_init": "ones"},
            "model.cell.kernel_init: expected the dotted name of a function or keys and values, got",
        ),
        ({"kernel_init": "rnnbench.cells.chronos"}, "model.cell.kernel_init: rnnbench.cells has no chronos. Did you"),
        ({"kernel_init": "nowhere.ones"}, "model.cell.kernel_init: cannot import nowhere.ones: there is no module"),
        (
            {"kernel_init": "jax.nn.initializers.orthogonal"},
            "model.cell.kernel_init: jax.nn.initializers.orthogonal makes a function: expected what it makes, by ",
        ),
        ({"bias_init": {"forget": 3}}, "model.cell.bias_init.forget: expected the dotted name of a function, got 3"),
        ({"bias_init": {"forget": "jax.no"}}, "model.cell.bias_init.forget: jax has no no"),
    ],
)
def test_what_is_no_function_is_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError) as error:
        objects.checked({"_target_": "rnnbench.cells.LSTM"} | values, "model.cell", CELL_ARGUMENTS)
    assert message in str(error.value)


def test_a_missing_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "needy.py").write_text("import a_package_that_is_not_there\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(UserError, match="needs the package a_package_that_is_not_there, which is not installed"):
        objects.checked({"_target_": "needy.Cell"}, "model.cell")


@pytest.mark.parametrize(
    ("error", "message"),
    [
        ("ValueError('no good')", "task: no good"),
        ("ValueError('size: no good')", "task.size: no good"),
        ("KeyError('no good')", "task: KeyError: 'no good' (HYDRA_FULL_ERROR=1 shows where)"),
        (r"TypeError('first\nsecond')", "task: TypeError: first (HYDRA_FULL_ERROR=1 shows where)"),
        ("AssertionError", "task: AssertionError (HYDRA_FULL_ERROR=1 shows where)"),
        ("SystemExit(5)", "task: it ends the process (sys.exit(5))"),
    ],
)
def test_an_error_while_building_names_the_node(
    error: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = f"moody_{abs(hash(error))}"
    source = f"def build(inner=None, fails=True):\n    if fails:\n        raise {error}\n"
    (tmp_path / f"{module}.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    node = {"_target_": f"{module}.build"}
    for failing in (node, {**node, "fails": False, "inner": node}):
        with pytest.raises(UserError) as raised:
            objects.instantiate(failing, "task")
        assert str(raised.value) == message


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("def f(:", "SyntaxError: invalid syntax ("),
        ("import sys; sys.exit(7)", "it ends the process (sys.exit(7))"),
        ("raise RuntimeError('no luck')", "RuntimeError: no luck (HYDRA_FULL_ERROR=1 shows where)"),
    ],
)
def test_a_module_that_cannot_be_imported(
    source: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken_module.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(UserError) as raised:
        objects.checked({"_target_": "broken_module.Cell"}, "model.cell")
    assert str(raised.value).startswith(f"model.cell._target_: cannot import broken_module: {message}")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"_args_": 3}, "optimizer._args_: expected a list, got 3"),
        ({"_args_": [3]}, "optimizer.learning_rate: given twice, here and as item 0 of optimizer._args_"),
        ({"_recursive_": "x"}, "optimizer._recursive_: expected true or false, got 'x'"),
        ({"_partial_": True}, "optimizer._partial_: set by rnnbench itself; leave it out"),
        ({"_convert_": "x"}, "optimizer._convert_: set by rnnbench itself; leave it out"),
        (
            {"learning_rate": {"_target_": "optax.constant_schedule", "value": 1.0, "_partial_": "maybe"}},
            "optimizer.learning_rate._partial_: expected true or false, got 'maybe'",
        ),
        (
            {"learning_rate": {"_target_": "optax.constant_schedule", "value": 1.0, "_convert_": "x"}},
            "optimizer.learning_rate._convert_: expected one of 'none', 'partial', 'object', 'all', got 'x'",
        ),
    ],
)
def test_keys_of_hydra_are_checked(values: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError) as raised:
        objects.checked(ADAM | values, "optimizer")
    assert str(raised.value) == message


def test_nodes_among_the_positional_arguments_are_checked() -> None:
    chain = {"_target_": "optax.chain", "_args_": [ADAM | {"learning_rate": 1}]}
    assert repr(objects.checked(chain, "optimizer")["_args_"][0]["learning_rate"]) == "1.0"
    with pytest.raises(UserError, match=r"^optimizer\._args_\.0\.lr: unknown key; optax\.adam takes learning_rate"):
        objects.checked({"_target_": "optax.chain", "_args_": [ADAM | {"lr": 1}]}, "optimizer")


def test_sizes_of_an_optimizer_are_no_fractions() -> None:
    node = {"_target_": "optax.adafactor", "learning_rate": 0.1, "min_dim_size_to_factor": 2, "factored": True}
    assert objects.fractional_arguments(node, "optimizer") == {"learning_rate"}
    schedule = {"_target_": "optax.constant_schedule", "value": 1.0}
    assert objects.fractional_arguments(ADAM | {"learning_rate": schedule}, "optimizer") == {"learning_rate"}


def test_partial_leaves_out_the_name() -> None:
    build = objects.partial(ADAM | {"name": "mine"}, "optimizer")
    assert isinstance(build, functools.partial)
    assert build.keywords == {"learning_rate": 1e-3}
