"""The size of a model: what is counted, and the hidden size that fits a budget."""

import functools
from collections.abc import Callable
from pathlib import Path

import pytest
from flax import nnx

import rnnbench
from rnnbench.cells import LRU, LSTM, S4D, SLSTM, SRU
from rnnbench.config.schema import Config
from rnnbench.errors import UserError
from rnnbench.tasks import Adding
from rnnbench.training.program import program
from rnnbench.training.size import parameters, state_size
from tests.helpers import HIDDEN, build

Compose = Callable[..., Config]


def sizes(compose: Compose, *overrides: str) -> dict[str, int]:
    return program([compose("task.length=10", *overrides)]).builder.sizes


@pytest.mark.parametrize("num_layers", [1, 2])
def test_sizes_are_those_of_the_equations(num_layers: int) -> None:
    """An LSTM has 4 (in + hidden + 1) hidden parameters and two states, and the readout hidden + 1."""
    model = build(LSTM, Adding(length=4), num_layers=num_layers)
    of_layers = [4 * (width + HIDDEN + 1) * HIDDEN for width in (2, HIDDEN)[:num_layers]]
    assert parameters(model) == sum(of_layers) + HIDDEN + 1
    assert state_size(model) == 2 * HIDDEN * num_layers


@pytest.mark.parametrize(
    ("make_cell", "size"),
    [
        (LRU, 2 * HIDDEN),  # complex
        (functools.partial(S4D, order=3), 2 * 3 * HIDDEN),
        (SRU, HIDDEN),
        (SLSTM, 4 * HIDDEN),
        (nnx.GRUCell, HIDDEN),
    ],
)
def test_an_output_that_no_step_depends_on_is_no_state(make_cell: Callable[..., nnx.RNNCellBase], size: int) -> None:
    assert state_size(build(make_cell, Adding(length=4))) == size


@pytest.mark.parametrize("model", ["rnn", "lstm", "gru", "lstm_projected"])
@pytest.mark.parametrize("budget", [200, 777, 5000])
def test_the_hidden_size_is_the_one_nearest_to_the_budget(compose: Compose, model: str, budget: int) -> None:
    found = sizes(compose, f"model={model}", f"model.parameters={budget}", "model.hidden_size=null")
    width = found["model.hidden_size"]
    for other in (width - 1, width, width + 1):
        own = sizes(compose, f"model={model}", f"model.hidden_size={other}")["size.parameters"]
        if other == width:
            assert own == found["size.parameters"]
        else:
            assert abs(own - budget) >= abs(found["size.parameters"] - budget)


def test_a_cell_that_refuses_narrow_layers_gets_a_budget(compose: Compose) -> None:
    few = ("model=clockwork", "model.hidden_size=null")
    assert sizes(compose, *few, "model.parameters=97")["model.hidden_size"] == 8, "one unit for each of its periods"
    with pytest.raises(UserError, match=r"model\.parameters: expected 97 or more for this cell and this task, got 90"):
        sizes(compose, *few, "model.parameters=90")


def test_both_are_recorded(compose: Compose, tmp_path: Path) -> None:
    config = compose(
        "model.parameters=300", "model.hidden_size=null", "train.steps=2", "train.eval_every=2", f"output={tmp_path}"
    )
    [run] = rnnbench.train(config).to_dict("records")
    assert (run["model.parameters"], run["model.hidden_size"]) == (300, 7)
    model = rnnbench.load_model(tmp_path)
    assert (run["size.parameters"], run["size.state_size"]) == (parameters(model), 2 * 7)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            ["model.hidden_size=null"],
            r"model\.hidden_size: expected 1 or more, or null together with model\.parameters",
        ),
        (
            ["model.parameters=100", "model.hidden_size=7"],
            r"model\.hidden_size: expected null, since model\.parameters=100 determines it, got 7",
        ),
        (["model.parameters=0"], r"model\.parameters: expected 1 or more, or null, got 0"),
    ],
)
def test_a_size_is_given_once(compose: Compose, overrides: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        compose(*overrides)
