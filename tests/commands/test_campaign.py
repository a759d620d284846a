"""Throws generated mistakes at every command: each is answered by one line and exit code 2, and nothing is written.

RNNBENCH_MISTAKES sets the number of mistakes.
"""

import contextlib
import io
import os
import tempfile
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from rnnbench.commands import COMMANDS
from rnnbench.config.annotations import fits
from rnnbench.config.compose import shipped
from rnnbench.config.messages import GROUPS
from rnnbench.config.metadata import Key, keys
from rnnbench.config.objects import HYDRA_KEYS, _parameters, locate
from rnnbench.config.schema import CELL_ARGUMENTS, Config
from rnnbench.training.program import Program
from tests.helpers import run_command

VALUES: dict[str, Any] = {
    **{text: yaml.safe_load(text) for text in ("0", "-1", "1.5", "-0.5", "true", "null", "word", "''", "[]", "[1]")},
    **{text: yaml.safe_load(text) for text in ("[[a]]", "[1, [2, [3]]]", "{a: 1}", "{a: {b: [null]}}", "'1'")},
    **{str(number): number for number in (2**31, -(2**31), 2**63, 10**40, 10**400)},
    **{"nan": float("nan"), "inf": float("inf"), "-inf": float("-inf"), "1e39": 1e39, "-1e-50": -1e-50},
    **{
        "'\u202e'": "\u202e",
        "äöü": "äöü",
        "日本": "日本",
        "'a b'": "a b",
        "'\U0001f600'": "\U0001f600",
        "\uff11": "\uff11",
    },
}
"""Values as they are written on a command line, and what they are."""

NOWHERE = ("nan", "inf", "-inf", "1e39", "-1e-50", str(2**63), str(10**40), str(10**400))
"""Values that no number may have."""

NODES = {"model": "model.cell", "task": "task", "optimizer": "optimizer", "logger": "logger"}
"""The groups whose options name a class or function, and its key."""

BROKEN_FILES = [
    *(b"name: [", b"\tname: x", b"- 1", b"'", b"%", b"{", b"a: b: c", b"name: x\nname: y", b"&a [*a]", b"*b", b"1: 2"),
    *(b"name: !!python/object/apply:os.getcwd []", b"? [1]", b"defaults: 1", b"defaults:\n  - nothing", b"null: 1"),
    *(
        b"name: ${no.thing}",
        b"name: ${",
        b"name: 'a/b'",
        b"cell: 1",
        b"cell: []",
        b"_target_: os",
        b"word",
        b"\xff\xfe",
    ),
    *(b"[" * 300, b"a: " + b"{a: " * 200, b"name: x\ncell: {_target_: 1}", b"name: x\ncell:\n  _target_: [a]"),
    b"name: x\ncell: {_target_: rnnbench.cells.GRU, _partial_: true}",
    b"name: x\ncell: {_target_: nowhere.at.all}",
    b"name: x\ncell: {_target_: rnnbench.cells.GRU, a: {_target_: b}}",
    b"name: \xe2\x80\xae\ncell: {_target_: rnnbench.cells.GRU}",
    b"name: x\ncell: {_args_: 3, _target_: rnnbench.cells.GRU}",
]
"""Contents of a file that is no option of a group."""


class Mistake(NamedTuple):
    """A command line, and the content of the option `mine` of every group in the folder given as `--config-dir`."""

    argv: tuple[str, ...]
    content: bytes | None = None


def wrong_for(key: Key) -> list[str]:
    """Returns the values that a key cannot have."""
    limited = [text for text, value in VALUES.items() if fits(value, key.hint) and is_beyond(key, value)]
    return [text for text, value in VALUES.items() if is_wrong(value, key.hint)] + limited


def is_beyond(key: Key, value: Any) -> bool:
    try:
        return key.declared.broken_limit(value) is not None
    except TypeError:
        return False


def is_wrong(value: Any, hint: Any) -> bool:
    """Returns whether a value fits in no way in which OmegaConf converts values."""
    if isinstance(value, list | dict):
        return not fits(value, hint)
    alternatives = {hint, *typing.get_args(hint)}
    if str in alternatives or hint is Any:
        return value is None and type(None) not in alternatives and hint is not Any
    if bool in alternatives:
        return value not in (None, "1") and not isinstance(value, int)  # OmegaConf takes any integer
    if int in alternatives and isinstance(value, str | float | bool):
        return value not in ("1", "\uff11")
    return not fits(value, hint) and value not in ("1", "\uff11", "")


def typo(word: str, at: int, kind: int) -> str:
    at %= len(word)
    return (word[:at] + word[at + 1 :], word[:at] + "q" + word[at:], word[:at] + "é" + word[at + 1 :])[kind]


def options(group: str) -> list[str]:
    return sorted(path.stem for path in (shipped("conf") / group).glob("*.yaml") if path.stem not in ("none", "wandb"))


ALL_KEYS = [key for key in keys(Config) if key.path != "population.members"]
KEYS = [key for key in ALL_KEYS if "dict" not in str(key.hint) and key.path != "model.name"]
GROUPS_OF_NODES = [group for group in NODES if group != "logger"]


def arguments() -> Iterator[tuple[str, str, list[str]]]:
    """Yields an option of a group, the key of an argument of what it names, and the values that this cannot have."""
    for group in GROUPS_OF_NODES:
        for option in options(group):
            node = yaml.safe_load((shipped("conf") / group / f"{option}.yaml").read_text())
            found = _parameters(locate((node["cell"] if group == "model" else node)["_target_"], group)) or []
            for each in found:
                if each.kind in (each.VAR_KEYWORD, each.VAR_POSITIONAL) or each.name in CELL_ARGUMENTS:
                    continue
                wrong = [text for text, value in VALUES.items() if text in NOWHERE or not fits(value, each.annotation)]
                yield f"{group}={option}", f"{NODES[group]}.{each.name}", wrong


WRONG_VALUES = [(key.path, wrong) for key in KEYS if (wrong := wrong_for(key))]
WRONG_ARGUMENTS = [*arguments()]


@st.composite
def wrong_values(draw: st.DrawFn) -> Mistake:
    path, wrong = draw(st.sampled_from(WRONG_VALUES))
    return Mistake((f"{draw(st.sampled_from(['', '++']))}{path}={draw(st.sampled_from(wrong))}",))


@st.composite
def unknown_keys(draw: st.DrawFn) -> Mistake:
    path = draw(st.sampled_from(ALL_KEYS)).path
    wrong = typo(path, draw(st.integers(0, 40)), draw(st.integers(0, 2)))
    if wrong in {key.path for key in ALL_KEYS} or wrong.startswith("."):
        wrong = f"{path}.more"
    return Mistake((f"{draw(st.sampled_from(['', '+', '++', '~']))}{wrong}=1",))


@st.composite
def wrong_arguments(draw: st.DrawFn) -> Mistake:
    option, path, wrong = draw(st.sampled_from(WRONG_ARGUMENTS))
    node = path.rpartition(".")[0]
    kind = draw(st.integers(0, 3))
    if kind == 0:
        return Mistake((option, f"+{path}{draw(st.sampled_from(['s', 'é', '2']))}=1"))
    if kind == 1:
        key = draw(st.sampled_from(sorted(HYDRA_KEYS)))
        return Mistake((option, f"++{node}.{key}={draw(st.sampled_from(['7', 'a.b', '{a: 1}']))}"))
    return Mistake((option, f"++{path}={draw(st.sampled_from(wrong))}"))


@st.composite
def wrong_options(draw: st.DrawFn) -> Mistake:
    group = draw(st.sampled_from(sorted(GROUPS)))
    option = draw(st.sampled_from(["nothing", "null", "''", "[a]", "{a: 1}", "a/b", "../x", "adamm", "é", "1"]))
    if group == "experiment":  # also a key, which takes keys and values
        return Mistake((f"+{group}={option.replace('{a: 1}', 'nothing')}",))
    return Mistake((f"{draw(st.sampled_from(['', '+', '++']))}{group}={option}",))


texts = st.text(st.sampled_from("=+~@:,[]{}()'\"\\$ \n\t\0aé日\u202e\ud800-_.1"), min_size=1, max_size=8)


@st.composite
def unreadable_lines(draw: st.DrawFn) -> Mistake:
    key, text = draw(st.sampled_from(["train.steps", "seed", "model", "no.such.key"])), draw(texts)
    template = draw(
        st.sampled_from(["{key}=[{text}", "{key}={{{text}", "{key}='{text}", "={text}", "@{text}", "+{text}"])
    )
    return Mistake((template.format(key=key, text=text),))


AXES = [
    *("seed=range(0)", "seed=range(5,3)", "seed=interval(0,1)", "seed=range(0,100000)", "seed=range(0,9,0)"),
    *("seed=1,x", "seed=1,-1", "model=rnn,nothing", "seed=choice()", "train.steps=1,0", "seed=range(a)"),
    *("seed=0,0.5", "seed=glob(", "seed=1,1,[", "nothing=1,2", "train.nothing=1,2"),
]


@st.composite
def wrong_sweeps(draw: st.DrawFn) -> Mistake:
    axis = draw(st.sampled_from(AXES))
    other = draw(st.sampled_from([(), ("optimizer=sgd,adam",)]))
    return Mistake(("-m", axis, *other))


@st.composite
def wrong_files(draw: st.DrawFn) -> Mistake:
    group = draw(st.sampled_from(GROUPS_OF_NODES))
    content = draw(st.one_of(st.sampled_from(BROKEN_FILES), st.binary(max_size=12).map(lambda raw: b"[" + raw)))
    return Mistake((f"{group}=mine",), content)


@st.composite
def wrong_flags(draw: st.DrawFn) -> Mistake:
    flag = draw(st.sampled_from(["--cfg", "--config-dir", "--config-name", "--info", "--nothing", "-x", "--package"]))
    value = draw(st.sampled_from([(), ("nothing",), ("",), ("/dev/null",), ("\0",), ("x" * 5000,)]))
    if flag == "--package" or (flag == "--info" and not value):
        flag = "--nothing"
    return Mistake((flag, *value))


SETTINGS = [
    *(
        "",
        "gates",
        "gates.x=1",
        "gates=1",
        "jacobians.lags=[0]",
        "jacobians.lags=x",
        "jacobians.lags=[1.5]",
        "=",
        ".=1",
    ),
    *("jacobians.sequences=0", "jacobians.exponents=nan", "jacobians.sequences=10000000000", "memory.x=["),
    *("jacobians.lags={a: 1}", "jacobians.lags=1e-50", "jacobians._target_=os.getcwd", "jacobians.lags=[[1]]"),
]
TUNE = ("--tune", "optimizer.learning_rate", "--tuning-seeds")
PROBES = ["nothing", "gate", "", ",", "os.path", "rnnbench.cells.GRU", "é.日", "a..b", "."]
OF_COMMANDS = {
    "status": [("--nothing",), ("more",)],
    "show": [("--nothing",), ("more",), ("--probes",), *(("--probes", text) for text in PROBES)],
    "report": [("--nothing",), ("--output",), *(("--probes", text) for text in PROBES)],
    "compare": [
        *(("--tune", "seed"), ("--tuning-seeds", "0"), ("--tune", "no.key", "--tuning-seeds", "0"), ("--nothing",)),
        *((*TUNE, text) for text in ("5-3", "", "x", "0-", "-", "1,,2", "é", "0-999999999999", "0")),
    ],
    "probe": [
        *(("--size", text) for text in ("2", "0", "-1", "x", "1.5", "", "99999999999")),
        *(("--probes", text) for text in PROBES),
        *(("--set", text) for text in SETTINGS),
        *(("--nothing",), ("more",), ("--allow",)),
    ],
}
"""What is wrong after a command's folder of results."""

OF_CELLS = [
    *(("--nothing",), ("nothing",), ("nothing=1",), ("model=nothing",), ("model=rnn,",), ("model=",), ("model=[a]",)),
    *(("model.hidden_size=0",), ("model.parameters=1",), ("seed=1,2",), ("--config-dir",), ("--config-dir", "nowhere")),
    *(("-m", "model=rnn,gru"), ("model=rnn", "task=nothing"), ("model=clockwork", "model.hidden_size=2")),
    *(("\0",), ("",)),
]
"""What is wrong with the overrides of `rnnbench cells`."""

OF_TASKS = [
    *(("--nothing",), ("nothing",), ("task=nothing",), ("task=parity,",), ("task=",), ("task=[a]",), ("task=mnist",)),
    *(("task=reverse", "task.symbols=0"), ("task=parity", "task.lenght=3"), ("task=parity", "task.length=x")),
    *(("task=copy", "--examples", text) for text in ("0", "-1", "x", "1.5", "")),
    *(("--examples",), ("--config-dir",), ("--config-dir", "nowhere"), ("task=copy", "seed=1,2")),
    *(("-m", "task=copy,echo"), ("\0",), ("",)),
]
"""The same for `rnnbench tasks`."""


@st.composite
def wrong_commands(draw: st.DrawFn) -> Mistake:
    command = draw(st.sampled_from(sorted(COMMANDS)))
    if command == "cells":
        return Mistake((command, "--untimed", *draw(st.sampled_from(OF_CELLS))))
    if command == "tasks":
        return Mistake((command, *draw(st.sampled_from(OF_TASKS))))
    if draw(st.booleans()):
        return Mistake((command, "RESULTS", *draw(st.sampled_from(OF_COMMANDS[command]))))
    where = draw(
        st.sampled_from(["nowhere", "empty", "file", "file/x", "", "a\nb", "\0", "x" * 300, "\ud800", "é", "--"])
    )
    return Mistake(draw(st.sampled_from([(command, where), (command,), (typo(command, 1, 1),)])))


MISTAKES = st.one_of(
    *(wrong_values(), wrong_values(), unknown_keys(), wrong_arguments(), wrong_arguments(), wrong_options()),
    *(unreadable_lines(), wrong_sweeps(), wrong_files(), wrong_flags(), wrong_commands(), wrong_commands()),
)


class AcceptedError(Exception):
    """The mistake went as far as compiling."""


@pytest.fixture(scope="module")
def results(tiny: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns a folder with the results of a run."""
    folder = tmp_path_factory.mktemp("campaign") / "results"
    assert run_command([*tiny, "train.steps=1", "train.eval_every=1", f"output={folder}"]) == 0
    return folder


@contextlib.contextmanager
def nothing_compiles() -> Iterator[None]:
    def accept(program: Program) -> None:
        raise AcceptedError

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Program, "compile", accept)
        yield


def files(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def answered(mistake: Mistake, results: Path, tiny: list[str]) -> str | None:
    """Returns what is wrong with the answer to a mistake, or None."""
    before = files(results)
    out, err = io.StringIO(), io.StringIO()
    with tempfile.TemporaryDirectory() as place, contextlib.chdir(place), nothing_compiles():
        Path("empty").mkdir()
        Path("file").touch()
        argv = [str(results) if word == "RESULTS" else word for word in mistake.argv]
        if not argv[0].isalpha():
            argv = [*(word for word in tiny if not word.startswith("task.")), *argv]
        if mistake.content is not None:
            for group in GROUPS:
                Path("conf", group).mkdir(parents=True)
                Path("conf", group, "mine.yaml").write_bytes(mistake.content)
            argv = ["--config-dir", "conf", *argv]
        there = sorted(map(str, Path().rglob("*")))
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = run_command(argv)
        written = sorted({*map(str, Path().rglob("*"))} - {*there})
    said = err.getvalue()
    one_line = said.startswith("rnnbench: error: ") and said.count("\n") == 1 and "Traceback" not in said
    if code == 2 and one_line and not out.getvalue() and not written and files(results) == before:
        return None
    return f"exit code {code}, written: {written}, printed: {out.getvalue()!r}, said: {said}"


@settings(
    max_examples=int(os.environ.get("RNNBENCH_MISTAKES", "300")),
    derandomize=True,
    phases=[Phase.generate],  # shrinking a mistake takes minutes, and each is short
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
@given(mistake=MISTAKES)
def test_every_mistake_is_one_line(results: Path, tiny: list[str], mistake: Mistake) -> None:
    assert (problem := answered(mistake, results, tiny)) is None, problem
