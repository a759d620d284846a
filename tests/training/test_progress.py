"""Sparklines draw the given series. A terminal shows them live; other outputs never get them."""

import builtins
import io
import itertools
import math
import multiprocessing
import re
import sys
from types import ModuleType, SimpleNamespace
from typing import TypeVar

import pytest
from rich.console import Console

from rnnbench.training import progress
from rnnbench.training.progress import BLOCKS, JobProgress, say, sparkline

File = TypeVar("File", bound=io.StringIO)
RAMP = [float(n) for n in range(8)]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True

    def screen(self) -> list[str]:
        """Returns the lines that remain on the screen after all drawing, cursor movement and erasing."""
        lines, row = [""], 0
        for code in re.findall(r"\x1b\[[0-9;?]*[A-Za-z]|\n|[^\x1b\r\n]+", self.getvalue()):
            if code == "\n":
                row += 1
                lines += [""] * (row == len(lines))
            elif code == "\x1b[1A":
                row -= 1
            elif code == "\x1b[2K":
                lines[row] = ""
            elif not code.startswith("\x1b"):
                lines[row] += code
        return [line for line in lines if line]


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    for name, value in {"TERM": "xterm", "COLUMNS": "80", "LINES": "25"}.items():
        monkeypatch.setenv(name, value)
    return show_on(Terminal(), monkeypatch)


@pytest.fixture
def piped(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    return show_on(io.StringIO(), monkeypatch)


def show_on(file: File, monkeypatch: pytest.MonkeyPatch) -> File:
    for name in ("FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(progress, "Console", lambda **options: Console(**{**options, "file": file}))
    return file


def train(*evaluations: dict[str, float]) -> None:
    with JobProgress("copy gru seed 0", 10 * len(evaluations), 0) as job:
        for index, numbers in enumerate(evaluations, start=1):
            job.update(10 * index, numbers)
        job.close(10 * len(evaluations), "finished", evaluations[-1])


@pytest.mark.parametrize(
    ("values", "width", "log", "line"),
    [
        (RAMP, 8, False, BLOCKS),
        (RAMP[::-1], 40, False, BLOCKS[::-1]),
        ([10.0**n for n in RAMP], 8, True, BLOCKS),
        ([10.0**n for n in RAMP], 8, False, "▁▁▁▁▁▁▂█"),
        ([0.0, 1.0, 1000.0], 8, True, "▁▁█"),  # the first has no logarithm, so the scale is linear
        ([0.1] * 3, 8, True, "▁▁▁"),
        ([0.1] * 7, 2, False, "▁▁"),  # three and four values: their sums differ by rounding
        ([0.0, math.nan, 7.0], 8, False, "▁ █"),
        ([1.0, math.inf, -math.inf, 100.0], 8, True, "▁  █"),
        ([math.nan, math.inf], 8, True, "  "),
        (RAMP, 4, False, "▁▃▅▇"),
        (RAMP, 3, False, "▁▄▇"),  # means of two, three and three values
        ([0.0, 7.0, math.nan, 7.0, math.inf, math.nan], 3, False, "▅█ "),
        ([1.0, 100.0, 10.0, 10.0, 1.0, 1.0], 3, True, "▅▅▁"),
        ([5.0], 8, False, "▁"),
        ([], 8, True, ""),
    ],
)
def test_a_sparkline_is_its_series(values: list[float], width: int, log: bool, line: str) -> None:
    assert sparkline(values, width, log) == line


def test_a_terminal_shows_each_number_live(terminal: Terminal) -> None:
    """This includes a number that is missing at first, and one that is missing at the end."""
    with JobProgress("copy gru seed 0", 30, 0) as job:
        bar, *lines = terminal.screen()
        assert re.fullmatch("copy gru seed 0 ━+ 0/30 .*", bar)
        assert lines == ["  compiling ..."]

        job.update(10, {"loss": 1.0, "test accuracy": 0.25})
        job.update(20, {"loss": 0.1, "test accuracy": 0.5, "half life": 3.0})
        job._view.refresh()
        bar, *lines = terminal.screen()
        assert re.fullmatch("copy gru seed 0 ━+╺━+ 20/30 .*", bar)
        assert lines == [
            "  loss               0.1  █▁",
            "  test accuracy      0.5  ▁█",
            "  half life            3   ▁",
        ]

        job.update(30, {"test accuracy": 1.0, "half life": math.inf})
        job._view.refresh()
        assert terminal.screen()[1:] == [
            "  loss               0.1  █▁ ",
            "  test accuracy        1  ▁▃█",
            "  half life            ∞   ▁ ",
        ]
    assert terminal.screen() == []


def test_jobs_leave_their_end_and_course_one_under_the_other(terminal: Terminal) -> None:
    for half in (0.5, 2.0):
        train(*({"loss": half**n, "|gradient|": math.inf if n == 31 else 1.0} for n in range(32)))
    of_one, one_loss, one_gradient, of_two, two_loss, two_gradient = terminal.screen()
    end = r"copy gru seed 0  finished at step 320  loss {}  \|gradient\| ∞  \(\d+\.\d s\)"
    assert re.fullmatch(end.format("4.66e-10"), of_one)
    assert re.fullmatch(end.format(r"2.15e\+09"), of_two)
    assert one_loss == "  loss       4.66e-10  █▇▇▇▆▆▅▅▄▄▃▃▂▂▂▁"
    assert two_loss == "  loss       2.15e+09  ▁▂▂▂▃▃▄▄▅▅▆▆▇▇▇█"
    assert one_gradient == two_gradient == "  |gradient|        ∞  ▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁"


def test_a_job_without_news_leaves_its_line_alone(terminal: Terminal) -> None:
    with JobProgress("copy gru seed 0", 10, 10) as job:
        job.close(10, "finished", {"loss": 0.5})
    [line] = terminal.screen()
    assert re.fullmatch(r"copy gru seed 0  finished at step 10  loss 0\.5  \(\d+\.\d s\)", line)


@pytest.mark.parametrize(
    ("columns", "live", "left"),
    [
        (60, "0.98  ▁▁▁▂▂▂▃▃▃▃▄▄▄▄▅▅▅▅▆▆▆▇▇▇▇██", "0.98  ▁▂▂▂▃▃▄▄▅▅▆▆▆▇▇█"),
        (40, "0.98  ▁▂▃▄▅▆▇", "0.98  ▁▂▃▄▅▆▇"),
        (30, "…", "…"),
        (16, "…", "…"),
    ],
)
def test_nothing_wraps_in_a_narrow_terminal(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch, columns: int, live: str, left: str
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    with JobProgress("copy gru seed 0", 500, 0) as job:
        for n in range(50):
            job.update(10 * n + 10, {"test recall_accuracy": n / 50})
        job._view.refresh()
        bar, course = terminal.screen()
        assert max(len(bar), len(course)) <= columns
        assert course.endswith(live)
        job.close(500, "finished", {})
    _, course = terminal.screen()
    assert len(course) <= columns
    assert course.endswith(left)


def test_a_pipe_gets_a_plain_line_now_and_then(piped: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    """Evaluations are 20 seconds apart, and lines at least 30 seconds."""
    clock = itertools.count(0.0, 20.0)
    now = next(clock)
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: now))
    with JobProgress("copy gru seed 0", 50, 0) as job:
        for index, half_life in enumerate([4.0, math.inf, 5.0, 6.0, 7.0], start=1):
            now = next(clock)
            job.update(10 * index, {"loss": 1 / index, "half life": half_life})
        job.close(50, "finished", {"loss": 0.2})
    assert piped.getvalue().splitlines() == [
        "copy gru seed 0  step 20/50  loss 0.5  half life ∞",
        "copy gru seed 0  step 40/50  loss 0.25  half life 6",
        "copy gru seed 0  finished at step 50  loss 0.2  (100.0 s)",
    ]


@pytest.mark.parametrize("where", ["worker", "dumb"])
def test_where_a_view_would_not_be_seen_there_are_lines(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    """This covers workers, whose views would overwrite each other, and terminals that cannot move the cursor."""
    if where == "worker":
        monkeypatch.setattr(multiprocessing.current_process(), "name", "Worker-1")
    else:
        monkeypatch.setenv("TERM", "dumb")
    train({"loss": 1.0})
    assert re.fullmatch(r"copy gru seed 0  finished at step 10  loss 1  \(\d+\.\d s\)\n", terminal.getvalue())


def test_the_silent_show_nothing_and_hide_nothing(terminal: Terminal, capsys: pytest.CaptureFixture[str]) -> None:
    with JobProgress("copy gru seed 0", 10, 0, silent=True) as job:
        job.update(10, {"loss": 1.0})
        print("a task's own words")
        job.close(10, "finished", {"loss": 1.0})
    assert terminal.getvalue() == ""
    assert capsys.readouterr().out == "a task's own words\n"


@pytest.fixture
def notebook(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Returns what a notebook shows: for each output below a cell, all of its texts in turn."""
    outputs: list[list[str]] = []

    def display(bundle: dict[str, str], *, raw: bool, display_id: bool) -> SimpleNamespace:
        assert raw
        assert display_id
        texts = [bundle["text/plain"]]
        outputs.append(texts)
        return SimpleNamespace(update=lambda bundle, raw: texts.append(bundle["text/plain"]))

    shell = type("ZMQInteractiveShell", (), {})()  # rich recognises a kernel by this name
    monkeypatch.setattr(builtins, "get_ipython", lambda: shell, raising=False)
    monkeypatch.setitem(sys.modules, "IPython", ModuleType("IPython"))
    monkeypatch.setitem(sys.modules, "IPython.display", SimpleNamespace(display=display))
    return outputs


def test_a_notebook_shows_each_number_live_and_keeps_a_line(
    notebook: list[list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    say("two runs in one program")
    train({"loss": 1.0}, {"loss": 0.1, "half life": 3.0})
    [said], [first, *views, last] = notebook
    assert said == "two runs in one program"
    assert re.fullmatch(r"copy gru seed 0 +0/20 .*\n  compiling \.\.\.", first)
    assert [re.findall(r"\d+/20", view) for view in views] == [["10/20"], ["20/20"]]
    assert [view.splitlines()[1:] for view in views] == [
        ["  loss        1  ▁"],
        ["  loss           0.1  █▁", "  half life        3   ▁"],
    ]
    assert re.fullmatch(r"copy gru seed 0  finished at step 20  loss 0\.1  half life 3  \(\d+\.\d s\)", last)
    assert capsys.readouterr() == ("", "")


def test_the_silent_show_nothing_in_a_notebook(notebook: list[list[str]]) -> None:
    with JobProgress("copy gru seed 0", 10, 0, silent=True) as job:
        job.update(10, {"loss": 1.0})
        job.close(10, "finished", {"loss": 1.0})
    assert notebook == []


def test_a_long_job_draws_its_whole_course_from_a_bounded_history(terminal: Terminal) -> None:
    with JobProgress("copy gru seed 0", 5000, 0) as job:
        for step in range(5000):
            job.update(step, {"accuracy": step / 5000})
        assert len(job._history) <= progress.HISTORY
        shown = [numbers["accuracy"] for numbers in job._history]
    assert shown == sorted(shown)
    assert (shown[0], round(shown[-1], 2)) == (0.0, 1.0)
    assert len({round(after - before, 6) for before, after in itertools.pairwise(shown)}) == 1
