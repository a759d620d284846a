"""`rnnbench tasks` shows what each task is, and examples as a person reads them."""

from pathlib import Path

import pytest

from rnnbench.commands import tasks
from rnnbench.errors import UserError


def test_each_task_that_needs_no_data_has_a_row(capsys: pytest.CaptureFixture[str]) -> None:
    assert tasks.main([]) == 0
    printed = capsys.readouterr()
    rows = [line for line in printed.out.splitlines()[2:] if line[:1].strip()]  # others continue the line above
    names = {path.stem for path in Path("conf/task").glob("*.yaml")}
    assert {row.split()[0] for row in rows} == names - {"cifar10", "data", "mnist", "ner"}
    [parity] = [row.split() for row in rows if row.startswith("parity")]
    assert parity[1:3] == ["Parity", "(Deletang"]
    assert " ".join(parity).partition("ones ")[2].startswith("2 symbols 32, test 256 accuracy 0.5 mean score of at")
    [digits] = [row for row in rows if row.startswith("digits")]
    assert " ".join(digits.split()).endswith("1 number 64 accuracy 0.101 accuracy of at least .95")
    assert "task=mnist: task.path: expected a folder with the four files of MNIST" in printed.err


def test_examples_stand_in_columns(capsys: pytest.CaptureFixture[str]) -> None:
    assert tasks.main(["task=reverse", "task.symbols=3", "--examples", "2"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert next(line for line in lines if line) == "reverse"
    for first in (3, 7):
        inputs, answer, cue = (lines[first + row].split() for row in range(3))
        assert (inputs[0], answer[0], cue) == ("inputs", "answer", ["cue", "^", "^", "^"])
        assert inputs[4:] == [":", ".", "."]
        assert answer[1:] == inputs[3:0:-1]
        assert lines[first].index(":") == lines[first + 1].index(answer[1], 8)


def test_long_examples_are_broken_where_the_terminal_ends(capsys: pytest.CaptureFixture[str]) -> None:
    assert tasks.main(["task=adding", "task.length=100", "--examples", "1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 200
    values = [float(value) for line in lines if line.startswith("value") for value in line.split()[1:]]
    marks = [float(mark) for line in lines if line.startswith("mark") for mark in line.split()[1:]]
    [answer] = [float(text) for line in lines if line.startswith("answer") for text in line.split()[1:]]
    assert len(values) == len(marks) == 100
    assert answer == pytest.approx(sum(v * m for v, m in zip(values, marks, strict=True)), abs=0.015)
    assert sum(line.count("^") for line in lines if line.startswith("cue")) == 2


def test_a_task_of_ones_own_has_a_row(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "task").mkdir()
    (tmp_path / "task" / "short.yaml").write_text("# My own\nname: short\n_target_: rnnbench.tasks.Echo\nlength: 9\n")
    assert tasks.main(["task=short", "--config-dir", str(tmp_path)]) == 0
    assert "short My own" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["task=parityy"], "^task: unknown option 'parityy'"),
        (["task=reverse", "--examples", "0"], "--examples: expected a number of 1 or more, got '0'"),
        (["task=reverse", "--examples", "some"], "--examples: expected a number of 1 or more, got 'some'"),
        (["task=reverse", "task.symbols=0"], "task=reverse: task.symbols: expected at least 1, got 0"),
        (["task=mnist", "task.path=nowhere"], "there is no file train-images-idx3-ubyte"),
    ],
)
def test_mistakes_are_named(arguments: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        tasks.main(arguments)
