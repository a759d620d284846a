"""`rnnbench cells` shows what each cell is, how large, and how fast."""

from pathlib import Path

import pytest

from rnnbench.commands import cells
from rnnbench.errors import UserError
from tests.helpers import optax_promotion

SMALL = ["task.length=6", "model.hidden_size=8", "train.batch_size=8"]


def rows(printed: str) -> dict[str, list[str]]:
    """Returns the words of each cell's row, by its name."""
    return {words[0]: words[1:] for line in printed.splitlines()[2:] if (words := line.split())}


def test_each_cell_has_a_row(capsys: pytest.CaptureFixture[str]) -> None:
    assert cells.main(["--untimed", *SMALL]) == 0
    found = rows(capsys.readouterr().out)
    assert {"rnn", "lstm", "gru", "lem", "slstm"} <= {*found}
    # 4 (2 + 8 + 1) 8 parameters of the gates and 8 + 1 of the readout; h and c.
    assert found["lstm"][-10:] == ["input,", "forget,", "candidate,", "output", "h,", "c", "no", "8", "361", "16"]
    assert {name for name, words in found.items() if "yes" in words} == {"lru", "min_gru", "min_lstm", "s4d", "sru"}
    assert " ".join(found["gru"]).startswith("Gated recurrent unit (Cho et al., 2014)")


def test_some_cells_are_timed(capsys: pytest.CaptureFixture[str]) -> None:
    with optax_promotion():
        assert cells.main(["model=gru,rnn", *SMALL]) == 0
    found = rows(capsys.readouterr().out)
    assert [*found] == ["gru", "rnn"]
    assert all(float(words[-1]) > 0 for words in found.values())


def test_own_cells_and_other_libraries_have_rows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "flax_lstm.yaml").write_text(
        "# Flax's own\nname: flax_lstm\ncell:\n  _target_: flax.nnx.OptimizedLSTMCell\n"
    )
    assert cells.main(["model=flax_lstm", "--untimed", "--config-dir", str(tmp_path), *SMALL]) == 0
    assert rows(capsys.readouterr().out)["flax_lstm"][:4] == ["Flax's", "own", "c,", "h"]


def test_a_cell_that_cannot_be_built_is_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    assert cells.main(["model=clockwork,gru", "model.hidden_size=2", "--untimed"]) == 0
    printed = capsys.readouterr()
    assert [*rows(printed.out)] == ["gru"]
    assert "left out: model=clockwork: model.cell.periods: expected at most one" in printed.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["model=lstn"], "unknown option 'lstn'"),
        (["model=clockwork", "model.hidden_size=2"], "model=clockwork: model.cell.periods: expected at most one"),
        (["model.hidden_siz=2"], "model.hidden_siz: unknown key"),
    ],
)
def test_mistakes_are_named(arguments: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        cells.main(["--untimed", *arguments])
