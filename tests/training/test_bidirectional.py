"""Bidirectional models and tied embeddings in training: sizes, records, probes, and what is refused."""

from collections.abc import Callable
from pathlib import Path

import pytest

import rnnbench
from rnnbench.commands import cli
from rnnbench.config.schema import Config
from rnnbench.errors import UserError
from rnnbench.training.program import program

Compose = Callable[..., Config]
BOTH = "model.bidirectional=true"
SENTENCES = [
    *("task=sentence_completion", "task.max_distance=4", "model=gru", "model.hidden_size=4", "train.test_size=8"),
    *("train.steps=4", "train.eval_every=4", "report=false", "model.tie_embedding=true"),
]


def test_a_second_cell_counts_in_the_sizes(compose: Compose) -> None:
    """A GRU has 3 (in + hidden + 2) hidden parameters here, two of them biases; the readout reads both states."""
    one, two = (program([compose("model=gru", *more)]).builder for more in ([], [BOTH]))
    cell = one.sizes["size.parameters"] - (4 + 1)
    assert two.sizes == {
        "model.hidden_size": 4,
        "size.parameters": 2 * cell + 2 * 4 + 1,
        "size.state_size": 2 * one.sizes["size.state_size"],
    }


def test_it_trains_is_probed_and_is_read_again(tmp_path: Path, tiny: list[str]) -> None:
    more = [BOTH, "init=orthogonal", "model.recurrent_dropout=0.1", "train.truncate=3", "model.num_layers=2"]
    assert cli.main([*tiny, *more, "model=gru", f"output={tmp_path}"]) == 0
    assert cli.main(["probe", str(tmp_path)]) == 0
    assert {*rnnbench.load_table(tmp_path, "gradient_flow")["layer"]} == {0, 1}
    model = rnnbench.load_model(tmp_path)
    assert (model.layers[1].recurrent_kernel[...] != model.backward[1].recurrent_kernel[...]).any()


def test_a_tied_embedding_trains(tmp_path: Path) -> None:
    assert cli.main([*SENTENCES, "model.embedding_size=null", f"output={tmp_path}"]) == 0
    assert rnnbench.load_model(tmp_path).readout is None


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            [BOTH, *SENTENCES],
            r"model\.bidirectional: expected false for sentence_completion, whose later inputs contain the answers",
        ),
        ([BOTH, "train.omega=1", "model.hidden_size=4"], r"train\.omega: expected 0 for a bidirectional model"),
        (
            SENTENCES,
            r"tie_embedding: expected embedding_size=null, or 4, as wide as the output of a layer, got 32",
        ),
    ],
)
def test_what_does_not_fit_is_refused(overrides: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        program([rnnbench.compose(*overrides)])
