"""Ctrl-C and SIGTERM, the polite ways to stop: a job first saves what it has trained, and says where it will resume."""

import _thread
import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType, TracebackType
from typing import Any

GRACE_SECONDS = 10.0
"""How long a job that is to stop waits for the end of the segment in progress."""

AGAIN_SECONDS = 1.0
"""After this time, a signal that has not stopped the command is raised again."""

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stopped(KeyboardInterrupt):
    """A signal stopped the command. The message says where the same command resumes.

    Attributes:
        exit_code: what shells expect of a process that the signal ended.
        computing: whether a segment is still being computed, for which the end of the process would wait.
    """

    def __init__(self, message: str, number: int, computing: bool = False) -> None:
        super().__init__(message)
        self.exit_code = 128 + number
        self.computing = computing


class _Interrupt:
    """A handler that raises `Stopped`, and makes sure that it gets through.

    Python drops an exception that is raised in a callback of its garbage collector, such as JAX has one, or in a
    `__del__`; compiled code may clear it. The signal is then raised again.

    Attributes:
        came: the last signal, or None.
        left: set when signals are no longer to be raised.
    """

    def __init__(self) -> None:
        self.came: int | None = None
        self.left = threading.Event()

    def __call__(self, number: int, frame: FrameType | None) -> None:
        self.came = number
        _thread.start_new_thread(self._raise_again, (number,))  # `threading` has locks, which may be held here
        raise Stopped("", number)

    def _raise_again(self, number: int) -> None:
        if not self.left.wait(AGAIN_SECONDS):
            os.kill(os.getpid(), number)  # to the process, since `raise_signal` would only reach this thread


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Makes Ctrl-C and SIGTERM raise `Stopped` in the block, at its end at the latest."""
    before: dict[int, Any] = {}
    hook = sys.unraisablehook
    interrupt = _Interrupt()
    _replace(before, interrupt, lambda handler: handler in _DEFAULTS)
    sys.unraisablehook = lambda dropped: None if isinstance(dropped.exc_value, Stopped) else hook(dropped)
    try:
        yield
    finally:
        interrupt.left.set()
        sys.unraisablehook = hook
        _restore(before)
    if interrupt.came is not None:
        raise Stopped("", interrupt.came)


def signal_behind(error: BaseException) -> KeyboardInterrupt | None:
    """Returns the signal in whose course an error was raised, if any.

    A signal can leave a library in a state in which it raises an error of its own, OmegaConf in the middle of building
    a node for example. The command has been stopped nevertheless.
    """
    left: list[BaseException | None] = [error]
    seen: list[BaseException] = []  # an error can be its own cause, as OmegaConf's for `${`
    while left:
        found = left.pop()
        if isinstance(found, KeyboardInterrupt):
            return found
        if found is not None and not any(found is one for one in seen):
            seen.append(found)
            left += [found.__cause__, found.__context__]
    return None


@contextlib.contextmanager
def delayed() -> Iterator[None]:
    """Delays a signal until the block ends: it would break orbax's threads. A second one acts at once."""
    caught: list[int] = []
    before: dict[int, Any] = {}

    def remember(number: int, frame: FrameType | None) -> None:
        caught.append(number)
        _restore(before)

    _replace(before, remember, lambda handler: handler not in (None, signal.SIG_IGN))
    try:
        yield
    finally:
        _restore(before)
        if caught:
            signal.raise_signal(caught[0])


class Stopping:
    """A context in which the first signal only asks to stop, and a second one stops at once.

    Handlers of others stay in place, such as those by which Slurm's jobs ignore SIGTERM until they are preempted.

    Attributes:
        asked: the signal that came, or None.
    """

    def __init__(self, saved_step: Callable[[], int], say: Callable[[str], None]) -> None:
        """Prepares the context.

        Args:
            saved_step: returns the step of the newest checkpoint; 0 if there is none.
            say: prints a line.
        """
        self._saved_step, self._say = saved_step, say
        self.asked: int | None = None
        self._computing = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> "Stopping":
        _replace(self._before, self._ask, lambda handler: handler in _DEFAULTS or isinstance(handler, _Interrupt))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _restore(self._before)
        if self.asked is not None and error is None:
            raise Stopped("stopped after the end of this job; the same command goes on with what is left", self.asked)

    def wait(self, is_done: Callable[[], bool]) -> None:
        """Waits for the end of a segment, if it comes within `GRACE_SECONDS` of the signal.

        Signals are handled between two looks; a call that waits inside JAX would hold them up.

        Raises:
            Stopped: it did not.
        """
        began, until = time.monotonic(), None
        self._computing = True
        while not is_done():
            now = time.monotonic()
            if self.asked is not None and until is None:
                until = now + GRACE_SECONDS
                self._say("rnnbench: stopping after this segment, to save what it trained; Ctrl-C again stops at once")
            if until is not None and now >= until:
                assert self.asked is not None
                raise self._at_once(f"the segment did not end within {GRACE_SECONDS:.0f} s", self.asked)
            time.sleep(min(max((now - began) / 100, 1e-4), 0.05))  # costs at most a hundredth of the segment
        self._computing = False

    def stopped(self, step: int) -> Stopped:
        """Returns the error to raise when everything up to `step` is saved."""
        return Stopped(f"stopped at step {step}; the same command resumes from there", self.asked or signal.SIGINT)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if self.asked is not None:
            raise self._at_once("by a second signal", number)
        self.asked = number

    def _at_once(self, reason: str, number: int) -> Stopped:
        step = self._saved_step()
        where = f"from step {step}, the last that was saved" if step else "from the start, for nothing was saved yet"
        return Stopped(f"stopped at once ({reason}); the same command resumes {where}", number, self._computing)


_DEFAULTS = (signal.default_int_handler, signal.SIG_DFL)


def _is_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


def _replace(before: dict[int, Any], handler: Any, wanted: Callable[[Any], bool]) -> None:
    """Sets the handlers of signals whose present ones are wanted, and keeps those in `before`."""
    if _is_main_thread():  # Python lets no other thread set handlers, and runs them in none
        before |= {number: signal.getsignal(number) for number in SIGNALS if wanted(signal.getsignal(number))}
        for number in before:
            signal.signal(number, handler)


def _restore(before: dict[int, Any]) -> None:
    for number, handler in before.items():
        signal.signal(number, handler)
