"""`rnnbench --help` explains every group and key, those of the user too."""

from pathlib import Path

import pytest

from rnnbench.commands import cli
from rnnbench.config.metadata import keys
from rnnbench.config.schema import Config


def test_help_explains_groups_and_keys(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--help"]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    for line in (
        "rnnbench -m model=rnn,lstm,gru seed=0,1,2",
        "model antisymmetric, clockwork, cornn, ",
        ", rnn, s4d, scrn, slstm, sru the recurrent cell",
        "init bias, chrono, default, identity, normal, np_rnn, orthogonal, sparse, spectral how its cell starts",
        "task adding, ambiguous_names, anbn, anbncn, ",
        "optimizer adam, adamw, rmsprop, sgd",
        "schedule constant, cosine, linear, step how its learning rate changes",
        "logger none, wandb",
        "experiment cells, quickstart, sizes, sweep_300, tasks",
        "model.cell rnnbench.cells.LSTM forget_bias=1.0 peepholes=false",
        "train.steps 2000 training steps (1 or more)",
        "train.clip_norm 1.0 largest global norm of the gradient; null: no clipping (more than 0)",
        "(one of bfloat16, tensorfloat32, float32)",
        "seed 0 seed of the initialisation and the training data",
    ):
        assert line in printed


def test_help_shows_every_key_and_fits_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--help", "train.steps=7", "optimizer=sgd"]) == 0
    printed = capsys.readouterr().out
    lines = [line.split() for line in printed.splitlines()]
    shown = {words[0] for words in lines if len(words) > 1}
    assert {key.path for key in keys(Config)} <= shown
    assert ["train.steps", "7"] in [words[:2] for words in lines]
    assert "optax.sgd" in printed
    assert max(map(len, printed.splitlines())) < 100


def test_help_lists_a_users_own_options(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model/mine.yaml").write_text("name: mine\n")
    assert cli.main(["--help", "--config-dir", str(tmp_path)]) == 0
    assert "min_lstm, mine, rnn" in " ".join(capsys.readouterr().out.split())
