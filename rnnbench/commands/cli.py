"""The command line: `rnnbench [key=value ...]` trains, a bare word first is another command.

JAX, pandas and wandb are imported only once a command needs them.
"""

import contextlib
import importlib
import os
import sys
import traceback
from collections.abc import Iterator, Sequence

from rnnbench.commands import train
from rnnbench.config.messages import describe, did_you_mean, wants_traceback
from rnnbench.errors import UserError

COMMANDS = ("show", "status", "compare", "report", "probe")

INTERRUPTED, PIPE_CLOSED = 130, 141
"""Exit codes of processes ended by Ctrl-C or by a closed pipe, as shells count them."""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command line; returns the exit code.

    Returns:
        0: all is well; 1: a bug; 2: something the user can set right; 3: a run's loss diverged;
        130: interrupted by Ctrl-C; 141: what it prints is no longer read.
    """
    argv = list(sys.argv[1:] if argv is None else argv)
    try:
        with _current_folder_importable():
            is_command = bool(argv) and _is_bare_word(argv[0])
            code = _command(argv[0], argv[1:]) if is_command else train.main(argv)
            sys.stdout.flush()
            return code
    except KeyboardInterrupt:
        print("\nrnnbench: stopped; the same command resumes", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        # The reader of a pipe has left (`| head`): nothing is wrong, and nothing more can be printed.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return PIPE_CLOSED
    except Exception as error:
        if wants_traceback():
            traceback.print_exception(error)
        message, code = describe(error)
        print(f"rnnbench: error: {message}", file=sys.stderr)
        return code


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
    """A `_target_` in the current folder is found by the console script too, as by `python -m rnnbench`."""
    folder = os.getcwd()
    present = folder in sys.path or "" in sys.path
    if not present:
        sys.path.append(folder)
    try:
        yield
    finally:
        if not present:
            sys.path.remove(folder)
