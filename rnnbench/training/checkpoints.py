"""Checkpoints of a population's state, through orbax."""

import contextlib
import gc
import logging
import signal
import sys
import threading
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

from orbax.checkpoint import v1 as ocp

from rnnbench.errors import UserError
from rnnbench.training import distributed
from rnnbench.training.step import RunState

KEPT = 2
"""Checkpoints kept: the newest, and one to fall back on where a kill came while it was written."""


class Checkpoints:
    """The checkpoints of one job, numbered by steps done; its owner must hold the job's records."""

    def __init__(self, folder: Path, seconds: float):
        """Opens the folder.

        Args:
            folder: where they are; it is made where it is missing.
            seconds: `save` skips a checkpoint that comes sooner than this after the one before.
        """
        self._folder = folder
        self._seconds = seconds
        self._last = time.monotonic()
        # Orbax tells of every file that it writes, and of its errors beside raising them.
        logging.getLogger("absl").setLevel(logging.CRITICAL)
        with _reworded(folder):
            self._checkpointer = ocp.training.Checkpointer(
                folder.resolve(),
                save_decision_policy=ocp.training.save_decision_policies.FixedIntervalPolicy(1),
                preservation_policy=ocp.training.preservation_policies.LatestN(KEPT),
                cleanup_tmp_directories=True,
            )

    def close(self) -> None:
        """Waits for what is being written."""
        with _reworded(self._folder), _interrupts_put_off():
            self._checkpointer.close()

    def save(self, step: int, states: RunState, *, force: bool = False) -> None:
        """Saves the states, unless the last save was too recent; `force` saves them in any case."""
        if force or distributed.lead(lambda: time.monotonic() - self._last >= self._seconds):
            with _reworded(self._folder), _interrupts_put_off():
                self._checkpointer.save(step, states, force=True, overwrite=True)
            self._last = time.monotonic()

    def restore(self, like: RunState) -> tuple[int, RunState] | None:
        """The newest step and states that can be read, placed like `like`; None where there is no checkpoint.

        A kill can leave the newest checkpoint half deleted or half written: then the one before it serves.

        Raises:
            UserError: there are checkpoints, but none of them can be read.
        """
        errors = []
        with _leftovers_unheard(), _interrupts_put_off():
            for checkpoint in reversed(self._checkpointer.checkpoints):
                try:
                    return checkpoint.step, self._checkpointer.load(checkpoint, like)
                except Exception as error:  # orbax raises many kinds for a broken checkpoint
                    errors.append(f"step {checkpoint.step}: {type(error).__name__}")
        if errors:
            raise UserError(
                f"no checkpoint in {self._folder} can be read ({'; '.join(errors)}): expected the state of this run as "
                "this version writes it; train the run again with overwrite=true"
            )
        return None


@contextlib.contextmanager
def _interrupts_put_off() -> Iterator[None]:
    """Lets Ctrl-C act at the end of the block, unless it is pressed again: orbax's threads do not outlive one."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGINT) or signal.SIG_DFL
    pressed = threading.Event()

    def put_off(number: int, frame: FrameType | None) -> None:
        pressed.set()
        signal.signal(signal.SIGINT, before)

    signal.signal(signal.SIGINT, put_off)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        if pressed.is_set():
            signal.raise_signal(signal.SIGINT)


@contextlib.contextmanager
def _leftovers_unheard() -> Iterator[None]:
    """Of a read that failed, orbax leaves coroutines that nobody awaits and errors that nobody takes."""
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
    try:
        yield
    except OSError as error:
        reason = error.strerror or error
        raise UserError(
            f"cannot write a checkpoint to {folder}: {reason}; earlier ones are kept, "
            "and the same command goes on from them"
        ) from error
