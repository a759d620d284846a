"""Checkpoints of a population's state, with orbax.

Each has a checksum of its files, which is written last. A checkpoint that does not match it was damaged, or not written
to its end: it is deleted, and the one before is used.
"""

import contextlib
import gc
import logging
import os
import re
import shutil
import sys
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from jaxtyping import PyTree
from orbax.checkpoint import v1 as ocp

from rnnbench.errors import UserError
from rnnbench.records.damage import tell
from rnnbench.records.files import replace
from rnnbench.records.seals import CHECKSUM, folder_digest, is_whole_folder
from rnnbench.training import distributed, stopping
from rnnbench.training.step import RunState

KEPT = 2
"""Number of checkpoints kept: the newest, and one to fall back on if the process was killed while writing it."""


def refuse_folder(folder: Path) -> None:
    """Raises a `UserError` if checkpoints below this path could not be read again.

    Orbax takes "[" in a path as the start of a pattern, and tensorstore a backslash as an escape.
    """
    path = folder.resolve().as_posix()
    if found := [character for character in "[\\" if character in path]:
        raise UserError(f"output: expected a path without [ and backslashes, got {found[0]!r} in {path!r}")


class Checkpoints:
    """The checkpoints of one job, numbered by training steps done. Only the owner of the job's records may use them.

    Attributes:
        newest: the step of the newest checkpoint that was saved or restored; 0 if there is none.
    """

    def __init__(self, folder: Path, seconds: float):
        """Opens the folder.

        Args:
            folder: the folder of the checkpoints; it is created if it is missing.
            seconds: `save` does nothing until this long after the last checkpoint.
        """
        self._folder = folder
        self._seconds = seconds
        self._last = time.monotonic()
        self.newest = 0
        # Orbax logs every file that it writes, and logs its errors as well as raising them.
        logging.getLogger("absl").setLevel(logging.CRITICAL)
        with _reworded(folder):
            distributed.lead(lambda: _delete_damaged(folder))  # first, since orbax reads all as it opens the folder
            self._checkpointer = ocp.training.Checkpointer(
                folder.resolve(),
                save_decision_policy=ocp.training.save_decision_policies.FixedIntervalPolicy(1),
                preservation_policy=ocp.training.preservation_policies.LatestN(KEPT),
                cleanup_tmp_directories=True,
            )

    def close(self) -> None:
        """Waits until everything is written."""
        with _reworded(self._folder), stopping.delayed():
            self._checkpointer.close()

    def save(self, step: int, states: RunState, *, force: bool = False) -> None:
        """Saves the states.

        Args:
            step: training steps done.
            states: the states of all members.
            force: whether to save even if the last checkpoint is recent.

        Raises:
            UserError: the checkpoint cannot be written.
        """
        if force or distributed.lead(lambda: time.monotonic() - self._last >= self._seconds):
            with _reworded(self._folder), stopping.delayed():
                self._checkpointer.save(step, _stored(states), force=True, overwrite=True)
                distributed.lead(lambda: _seal(self._folder / str(step)))
            self.newest = step
            self._last = time.monotonic()

    def restore(self, like: RunState, wanted: Callable[[int], bool] = lambda step: True) -> tuple[int, RunState] | None:
        """Returns the step and the states of the newest whole checkpoint that is wanted; None if there is none.

        Args:
            like: the shapes, types and placement of the states.
            wanted: whether training can resume from a step.

        Raises:
            UserError: there are whole checkpoints, but none of them can be read.
        """
        errors = []
        with _failed_reads_silenced(), stopping.delayed():
            candidates = [c for c in self._checkpointer.checkpoints if wanted(c.step)]
            for checkpoint in reversed(candidates):
                try:
                    states = like._replace(**self._checkpointer.load(checkpoint, _stored(like)))
                except Exception as error:  # orbax raises many kinds for a broken checkpoint
                    errors.append(f"step {checkpoint.step}: {type(error).__name__}")
                else:
                    self.newest = checkpoint.step
                    return checkpoint.step, states
        if errors:
            raise UserError(
                f"no checkpoint in {self._folder} can be read ({'; '.join(errors)}): expected the state of this run as "
                "this version writes it; train the run again with overwrite=true"
            )
        return None

    def rewind(self, step: int | None) -> bool:
        """Deletes the checkpoints after `step`, where training resumes; None deletes all.

        Returns:
            Whether there were any.
        """
        later = [c.step for c in self._checkpointer.checkpoints if step is None or c.step > step]
        with _reworded(self._folder):
            distributed.lead(lambda: _delete(self._folder / str(at) for at in later))
            self._checkpointer.reload()
        return bool(later)


@contextlib.contextmanager
def _failed_reads_silenced() -> Iterator[None]:
    """Silences warnings about what a failed read of orbax leaves behind: unawaited coroutines and unread errors."""
    hook = sys.unraisablehook
    sys.unraisablehook = lambda leftover: None
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="coroutine .* was never awaited", category=RuntimeWarning)
            yield
            gc.collect()
    finally:
        sys.unraisablehook = hook


@contextlib.contextmanager
def _reworded(folder: Path) -> Iterator[None]:
    """Raises a `UserError` that names the folder in place of an operating system error."""
    try:
        yield
    except (OSError, ValueError) as error:
        # tensorstore raises a ValueError for what the system refuses, with the system's number in its text.
        number = re.search(r"os_error_code='(\d+)'", str(error))
        if isinstance(error, OSError):
            reason = error.strerror or str(error)
        elif number is not None:
            reason = os.strerror(int(number[1]))
        else:
            raise
        raise UserError(
            f"cannot write a checkpoint to {folder}: {reason}; earlier ones are kept, "
            "and the same command resumes from them"
        ) from error


def _stored(states: RunState) -> dict[str, PyTree]:
    """Returns what a checkpoint contains, by name: what a run does not have is left out, as in earlier versions."""
    return {name: value for name, value in states._asdict().items() if value is not None}


def _seal(checkpoint: Path) -> None:
    replace(checkpoint / CHECKSUM, folder_digest(checkpoint))


def _delete_damaged(folder: Path) -> None:
    """Deletes the checkpoints that a disk has damaged, or a killed process left half written or half deleted."""
    for checkpoint in sorted(folder.glob("*")):
        if checkpoint.name.isdecimal() and not is_whole_folder(checkpoint):
            tell(f"{checkpoint} is damaged, or was not written to its end: it is not used")
            _delete([checkpoint])


def _delete(checkpoints: Iterable[Path]) -> None:
    for checkpoint in checkpoints:
        shutil.rmtree(checkpoint)
