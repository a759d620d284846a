"""What a person sees while a job trains: a live bar in a terminal of its own, else a line now and then."""

import multiprocessing
import sys
import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

SECONDS_BETWEEN_LINES = 30.0


class JobProgress:
    """Progress of one job; a context manager."""

    def __init__(self, label: str, steps: int, done: int, silent: bool = False):
        """Begins to show.

        Args:
            label: names the job.
            steps: steps of the whole job.
            done: steps that were done before.
            silent: whether nothing is shown: another process shows it.
        """
        self._console = Console(file=sys.stderr, highlight=False, quiet=silent)
        # Jobs that share a terminal would draw their bars over one another.
        self._live = self._console.is_terminal and multiprocessing.current_process().name == "MainProcess"
        self._label, self._steps, self._first = label, steps, done
        self._began = self._last_line = time.monotonic()
        self._bar = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            TextColumn("{task.completed}/{task.total}"),
            TimeRemainingColumn(compact=True),
            TextColumn("{task.fields[numbers]}", markup=False),
            console=self._console,
            transient=True,
            disable=silent or not self._live,
        )
        self._task = self._bar.add_task(label, total=steps, completed=done, numbers="compiling ...")

    def __enter__(self) -> "JobProgress":
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def update(self, step: int, numbers: dict[str, float]) -> None:
        """Shows how far the job is, with some of its latest numbers by name."""
        text = "  ".join(f"{name} {value:.3g}" for name, value in numbers.items())
        self._bar.update(self._task, completed=step, numbers=text)
        now = time.monotonic()
        if not self._live and now - self._last_line >= SECONDS_BETWEEN_LINES:
            self._line(f"{self._label}  step {step}/{self._steps}  {text}")
            self._last_line = now

    def close(self, step: int, status: str, numbers: dict[str, float]) -> None:
        """Leaves one line about the job."""
        seconds = time.monotonic() - self._began
        text = "  ".join(f"{name} {value:.3g}" for name, value in numbers.items())
        self._line(f"{self._label}  {status} at step {step}  {text}  ({seconds:.1f} s)")

    def _line(self, text: str) -> None:
        self._console.print(text, markup=False, soft_wrap=True)


def say(text: str) -> None:
    """One line for the person who started the job."""
    Console(file=sys.stderr, highlight=False).print(text, markup=False, soft_wrap=True)
