"""What a `_target_` takes is checked before it is called: optax's optimizers and flax's cells as they are."""

import functools
from pathlib import Path
from typing import Any

import pytest
from flax import nnx

from rnnbench.config import objects as targets
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
    targets.check_call(ADAM | values, "optimizer")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"learning_rate": True}, "optimizer.learning_rate: expected a number, got true"),
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
        targets.check_call(ADAM | values, "optimizer")
    assert message in str(error.value)


@pytest.mark.parametrize("cell", ["LSTMCell", "OptimizedLSTMCell", "GRUCell", "SimpleCell"])
def test_cells_of_flax_are_accepted(cell: str) -> None:
    node = {
        "_target_": f"flax.nnx.{cell}",
        "recurrent_kernel_init": {"_target_": "jax.nn.initializers.orthogonal", "scale": 1},
    }
    build = targets.partial(node, "model.cell", given=CELL_ARGUMENTS)
    assert isinstance(build(2, 3, rngs=nnx.Rngs(0)), getattr(nnx, cell))
    with pytest.raises(UserError, match=r"model\.cell\.keep_rngs: expected true or false, got 'no'"):
        targets.check_call(node | {"keep_rngs": "no"}, "model.cell", given=CELL_ARGUMENTS)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"use_bais": False}, r"model\.cell\.use_bais: unknown key; rnnbench\.cells\.LSTM takes .*mean use_bias\?"),
        ({"use_bias": "no"}, r"model\.cell\.use_bias: expected true or false, got 'no'"),
    ],
)
def test_what_a_constructor_hands_on_to_its_base_is_checked(options: dict[str, Any], message: str) -> None:
    lstm = {"_target_": "rnnbench.cells.LSTM"}
    targets.check_call(lstm | {"use_bias": False}, "model.cell", given=CELL_ARGUMENTS)
    with pytest.raises(UserError, match=message):
        targets.check_call(lstm | options, "model.cell", given=CELL_ARGUMENTS)


def test_a_word_is_no_list_of_letters() -> None:
    node = {"_target_": "rnnbench.tasks.SentenceCompletion", "kinds": "tense"}
    with pytest.raises(UserError, match=r"task\.kinds: expected a list, got 'tense'"):
        targets.check_call(node, "task")
    targets.check_call(node | {"kinds": ["tense"]}, "task")


def test_a_missing_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "needy.py").write_text("import a_package_that_is_not_there\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(UserError, match="needs the package a_package_that_is_not_there, which is not installed"):
        targets.check_call({"_target_": "needy.Cell"}, "model.cell")


def test_only_errors_of_values_are_the_users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "moody.py").write_text(
        "class Task:\n"
        "    def __init__(self, error: str, inner: object = None) -> None:\n"
        "        if error:\n"
        "            raise {'value': ValueError, 'key': KeyError}[error]('no good')\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    value, key = ({"_target_": "moody.Task", "error": error} for error in ("value", "key"))
    with pytest.raises(UserError, match=r"^task: no good$"):
        targets.instantiate(value, "task")
    with pytest.raises(UserError, match=r"^task: no good$"):
        targets.instantiate({"_target_": "moody.Task", "error": "", "inner": value}, "task")
    with pytest.raises(KeyError):
        targets.instantiate(key, "task")
    with pytest.raises(KeyError):
        targets.instantiate({"_target_": "moody.Task", "error": "", "inner": key}, "task")


def test_partial_leaves_out_the_name() -> None:
    build = targets.partial(ADAM | {"name": "mine"}, "optimizer")
    assert isinstance(build, functools.partial)
    assert build.keywords == {"learning_rate": 1e-3}
