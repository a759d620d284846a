"""The command line: `rnnbench [key=value ...]` trains; if the first argument is a bare word, it names a command.

JAX, pandas and wandb are imported only when a command needs them.
"""

import contextlib
import importlib
import os
import sys
import traceback
from collections.abc import Iterator, Sequence

from rnnbench.commands import COMMANDS, train
from rnnbench.config.messages import describe, did_you_mean, wants_traceback
from rnnbench.errors import UserError
from rnnbench.training.stopping import Stopped, interruptible, signal_behind

INTERRUPTED, PIPE_CLOSED = 130, 141
"""Exit codes that shells use for processes ended by Ctrl-C or by a closed pipe."""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command line and returns its exit code.

    Returns:
        The exit code. 0: success; 1: a bug; 2: an error that the user can fix; 3: a run diverged; 130: interrupted by
        Ctrl-C; 141: the reader of the output has left; 143: stopped by SIGTERM.
    """
    argv = list(sys.argv[1:] if argv is None else argv)
    try:
        with _current_folder_importable(), interruptible():
            is_command = bool(argv) and _is_bare_word(argv[0])
            code = _command(argv[0], argv[1:]) if is_command else train.main(argv)
            sys.stdout.flush()
            return code
    except KeyboardInterrupt as error:
        return _stopped(error)
    except BrokenPipeError:
        # The reader of a pipe has left (`| head`): this is no error, but nothing more can be printed.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return PIPE_CLOSED
    except Exception as error:
        if (stop := signal_behind(error)) is not None:
            return _stopped(stop)
        if wants_traceback():
            traceback.print_exception(error)
        message, code = describe(error)
        print(f"rnnbench: error: {message}", file=sys.stderr)
        return code


def _stopped(error: KeyboardInterrupt) -> int:
    """Says that a signal stopped the command, and returns the exit code."""
    said = str(error) or "stopped; the same command resumes from what is saved"
    print(f"\nrnnbench: {said}", file=sys.stderr)
    if not isinstance(error, Stopped):
        return INTERRUPTED
    if error.computing:  # Python would wait for the end of the segment before it exits
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(error.exit_code)
    return error.exit_code


def _is_bare_word(argument: str) -> bool:
    return not argument.startswith(("-", "+", "~")) and "=" not in argument


def _command(name: str, arguments: list[str]) -> int:
    if name in COMMANDS:
        command = importlib.import_module(f"rnnbench.commands.{name}")
        return command.main(arguments)
    raise UserError(
        f"unknown command {name!r}; the commands are {', '.join(COMMANDS)}, "
        f"and without one, key=value trains{did_you_mean(name, COMMANDS)}"
    )


@contextlib.contextmanager
def _current_folder_importable() -> Iterator[None]:
    """Lets the console script find a `_target_` in the current folder, as `python -m rnnbench` does."""
    folder = os.getcwd()
    present = folder in sys.path or "" in sys.path
    if not present:
        sys.path.append(folder)
    try:
        yield
    finally:
        if not present:
            sys.path.remove(folder)
