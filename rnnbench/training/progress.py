"""What a person sees while a job trains: a live view in a terminal or a notebook, otherwise a line now and then."""

import io
import math
import multiprocessing
import sys
import time
from collections.abc import Sequence
from types import TracebackType

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from rnnbench.visible import visible

SECONDS_BETWEEN_LINES = 30.0
LIVE_WIDTH, FINAL_WIDTH = 40, 16
"""Characters of a sparkline while the job trains, and of one that stays when it has ended."""

NOTEBOOK_WIDTH = 100
"""Characters of a line below a cell."""

HISTORY = 512
"""The most values that a sparkline is drawn from, so that a long training draws it as fast as a short one."""

LOGARITHMIC = ("loss", "mse", "gradient", "half life")
"""Numbers with one of these words in their name are drawn on a logarithmic scale; shares like an accuracy are not."""

BLOCKS = "▁▂▃▄▅▆▇█"


def sparkline(values: Sequence[float], width: int, log: bool = False) -> str:
    """Returns a series as blocks, the lowest for its smallest finite value and the highest for its largest.

    Args:
        values: the series; a value that is NaN or infinite leaves a gap.
        width: the most characters. In a longer series, a character stands for several values: the mean of the finite
            ones.
        log: whether to use a logarithmic scale; it is linear all the same if any finite value is not positive.
    """
    finite = [value for value in values if math.isfinite(value)]
    if log and all(value > 0 for value in finite):
        return sparkline([math.log(value) if math.isfinite(value) else value for value in values], width)
    low, high = min(finite, default=0.0), max(finite, default=0.0)
    columns = min(width, len(values))
    line = ""
    for i in range(columns):
        part = values[i * len(values) // columns : (i + 1) * len(values) // columns]
        # Scaled before the mean is taken: its rounding errors would fill the scale of a constant series.
        heights = [(value - low) / (high - low or 1.0) for value in part if math.isfinite(value)]
        line += BLOCKS[round(sum(heights) / len(heights) * (len(BLOCKS) - 1))] if heights else " "
    return line


class NotebookText:
    """Text below a cell of a Jupyter notebook, which can be replaced. The notebook keeps only the last one."""

    def __init__(self, text: str) -> None:
        from IPython.display import display  # a kernel has it; rnnbench does without

        self._handle = display({"text/plain": text}, raw=True, display_id=True)

    def replace(self, text: str) -> None:
        """Shows another text in place of this one."""
        self._handle.update({"text/plain": text}, raw=True)


class JobProgress:
    """Shows the progress of one job; a context manager."""

    def __init__(self, label: str, steps: int, done: int, silent: bool = False):
        """Prepares the view, which starts with the context.

        Args:
            label: names the job.
            steps: training steps of the whole job.
            done: steps done before this session.
            silent: show nothing, because another process of the job does.
        """
        self._console = _console(quiet=silent)
        # Worker processes share a terminal and would draw their views over one another.
        is_worker = multiprocessing.current_process().name != "MainProcess"
        self._is_live = self._console.is_interactive and not is_worker and not silent
        self._in_notebook = _in_notebook() and not silent
        self._text: NotebookText | None = None
        self._label, self._steps = visible(label), steps
        self._began = self._last_line = time.monotonic()
        self._history: list[dict[str, float]] = []
        self._updates, self._every = 0, 1
        self._latest: dict[str, float] = {}
        self._bar = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            TextColumn("{task.completed}/{task.total}"),
            TimeRemainingColumn(compact=True),
        )
        self._task = self._bar.add_task(self._label, total=steps, completed=done)
        self._first = Group(self._bar, "  compiling ...")
        self._view = Live(self._first, console=self._console, transient=True)

    def __enter__(self) -> "JobProgress":
        if self._in_notebook:
            self._text = NotebookText(_as_text(self._first))
        elif self._is_live:
            self._view.start(refresh=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._view.stop()

    def update(self, step: int, numbers: dict[str, float]) -> None:
        """Shows how far the job is.

        Args:
            step: training steps done.
            numbers: the latest numbers by name; in a live view, each is shown with a sparkline of its values so far.
        """
        self._remember(numbers)
        self._latest |= numbers
        self._bar.update(self._task, completed=step)
        view = Group(self._bar, self._sparklines(LIVE_WIDTH))
        if self._text is not None:
            self._text.replace(_as_text(view))
        elif self._is_live:
            self._view.update(view)
        elif time.monotonic() - self._last_line >= SECONDS_BETWEEN_LINES:
            self._line(f"{self._label}  step {step}/{self._steps}  {_joined(numbers)}")
            self._last_line = time.monotonic()

    def close(self, step: int, status: str, numbers: dict[str, float]) -> None:
        """Prints one line about the finished job, in a notebook in place of the view; in a terminal, sparklines below.

        Args:
            step: training steps done.
            status: how the job ended.
            numbers: the final numbers by name.
        """
        seconds = time.monotonic() - self._began
        line = f"{self._label}  {status} at step {step}  {_joined(numbers)}  ({seconds:.1f} s)"
        if self._text is not None:
            self._text.replace(line)
            return
        self._line(line)
        if self._is_live:
            self._console.print(self._sparklines(FINAL_WIDTH))

    def _remember(self, numbers: dict[str, float]) -> None:
        """Adds to the history. When it is full, every second entry is dropped, and from then on not added."""
        if self._updates % self._every == 0:
            self._history.append(numbers)
        if len(self._history) == HISTORY:
            self._history = self._history[::2]
            self._every *= 2
        self._updates += 1

    def _sparklines(self, width: int) -> Group:
        """Returns a line for each number: its name, latest value and sparkline, at most `width` characters long."""
        longest = max(map(len, self._latest), default=0)
        lines = []
        for name, value in self._latest.items():
            start = f"  {visible(name):<{longest}} {_rounded(value):>8}  "
            series = [numbers.get(name, math.nan) for numbers in self._history]
            log = any(word in name for word in LOGARITHMIC)
            blocks = sparkline(series, min(width, self._console.width - len(start)), log)
            lines.append(Text(start + blocks, no_wrap=True, overflow="ellipsis"))
        return Group(*lines)

    def _line(self, text: str) -> None:
        self._console.print(visible(text), markup=False, soft_wrap=True)


def _joined(numbers: dict[str, float]) -> str:
    return "  ".join(f"{visible(name)} {_rounded(value)}" for name, value in numbers.items())


def _rounded(value: float) -> str:
    return f"{value:.3g}".replace("inf", "∞")


def say(text: str) -> None:
    """Prints one line for the person who started the job."""
    if _in_notebook():
        NotebookText(visible(text))
    else:
        _console().print(visible(text), markup=False, soft_wrap=True)


def _console(quiet: bool = False) -> Console:
    """Standard error. Rich must not take a notebook for a terminal: it would show HTML that nobody can replace."""
    return Console(file=sys.stderr, highlight=False, quiet=quiet, force_jupyter=False)


def _in_notebook() -> bool:
    return Console().is_jupyter


def _as_text(view: RenderableType) -> str:
    """What a view looks like without colours."""
    written = io.StringIO()
    Console(file=written, width=NOTEBOOK_WIDTH, color_system=None, force_terminal=False, force_jupyter=False).print(
        view
    )
    return "\n".join(line.rstrip() for line in written.getvalue().splitlines())
