"""`rnnbench [key=value ...]`: composes the configuration of each job with Hydra, and trains it."""

import argparse
import contextlib
import os
import sys
import traceback
import warnings
from collections.abc import Iterator

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from rnnbench.commands.parser import Parser
from rnnbench.config.compose import check_config_dir, register_studies, shipped
from rnnbench.config.messages import TRACEBACK, describe, describe_stumble, wants_traceback
from rnnbench.config.overrides import check_keys
from rnnbench.config.parse import parse_members
from rnnbench.errors import BusyError, Failure, UserError
from rnnbench.training.stopping import signal_behind

SWEEPER = "hydra_plugins.folding.FoldingSweeper"
"""The sweeper that `conf/config.yaml` selects."""


def main(argv: list[str]) -> int:
    """Trains what a command line asks for, and returns the exit code."""
    flags = _parser().parse_intermixed_args(argv)
    if flags.version:
        from importlib import metadata

        print(f"rnnbench {metadata.version('rnnbench')}")
        return 0
    if flags.multirun and (flags.cfg or flags.info):
        raise UserError("-m trains, so it cannot go with --cfg or --info: leave -m out, and choose one value a key")
    check_config_dir(flags.config_dir, "--config-dir")
    check_keys(flags.overrides)
    register_studies()
    if flags.help:
        from rnnbench.commands import help

        print(help.page(shipped("conf"), flags.overrides, flags.config_dir))
        return 0
    task = _TaskFunction(show_tracebacks=wants_traceback())
    application = hydra.main(version_base="1.3", config_path=str(shipped("conf")), config_name="config")(task)
    with warnings.catch_warnings(), _errors_raised(), _arguments(["rnnbench", *_as_hydra_reads(flags)]):
        # A missing folder on Hydra's search path is an error, not just a warning.
        warnings.filterwarnings("error", message="provider=hydra.searchpath")
        try:
            application()
        except SystemExit as stop:
            return stop.code if isinstance(stop.code, int) else 1
        except (AssertionError, AttributeError, TypeError, ValueError) as error:
            # Jobs handle their own errors, so this is Hydra failing on a command line or a file.
            raise UserError(describe_stumble(error, flags.overrides)) from error
    if task.error is not None:
        raise task.error
    return 0


def _parser() -> Parser:
    """Returns a parser of the flags: those of Hydra that make sense here, and our own `--version`."""
    parser = Parser(prog="rnnbench", add_help=False, allow_abbrev=False)
    parser.add_argument("overrides", nargs="*")
    for flag in (["--help", "-h"], ["--version"], ["--multirun", "-m"], ["--resolve"], ["--hydra-help"]):
        parser.add_argument(*flag, action="store_true")
    parser.add_argument("--shell-completion", "-sc", action="store_true")
    parser.add_argument("--cfg", "-c", choices=["job", "hydra", "all"])
    parser.add_argument("--package", "-p")
    parser.add_argument("--config-name", "-cn")
    parser.add_argument("--config-dir", "-cd")
    infos = ["all", "config", "defaults", "defaults-tree", "plugins", "searchpath"]
    parser.add_argument("--info", "-i", nargs="?", const="all", choices=infos)
    return parser


def _as_hydra_reads(flags: argparse.Namespace) -> list[str]:
    """Returns the command line with all overrides first, as Hydra needs it; users may mix them with flags."""
    given = {name: value for name, value in vars(flags).items() if name != "overrides" and value not in (None, False)}
    argv = list(flags.overrides)
    for name, value in given.items():
        argv += [f"--{name.replace('_', '-')}", *([] if value is True else [value])]
    return argv


@contextlib.contextmanager
def _errors_raised() -> Iterator[None]:
    """Makes Hydra raise its errors, which it would otherwise print before it exits."""
    before = os.environ.get(TRACEBACK)
    os.environ[TRACEBACK] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[TRACEBACK]
        else:
            os.environ[TRACEBACK] = before


@contextlib.contextmanager
def _arguments(argv: list[str]) -> Iterator[None]:
    before, sys.argv = sys.argv, argv
    try:
        yield
    finally:
        sys.argv = before


class _TaskFunction:
    """Trains the configuration of a job. Hydra calls this, in this process or in a launcher's.

    Attributes:
        error: the error of a job that is not part of a sweep.
    """

    def __init__(self, show_tracebacks: bool) -> None:
        self.show_tracebacks = show_tracebacks
        self.error: Exception | None = None

    def __call__(self, cfg: DictConfig) -> Failure | None:
        job = HydraConfig.get()
        if job.mode == RunMode.MULTIRUN and job.sweeper._target_ != SWEEPER:
            # Only this sweeper turns the failures of jobs into an exit code.
            raise UserError(
                f"hydra/sweeper: expected folding, which plans the runs of a sweep, got {job.sweeper._target_}"
            )
        try:
            configs = parse_members(cfg)
            import pyarrow as pa

            from rnnbench.training import runner

            pa.set_memory_pool(pa.system_memory_pool())  # Arrow's own keeps what it took to merge a long table
            runner.train(*configs)
        except Exception as error:
            if (stop := signal_behind(error)) is not None:
                raise stop from None
            if job.mode != RunMode.MULTIRUN:
                self.error = error
                return None
            if self.show_tracebacks:
                traceback.print_exception(error)
            own = ("population.max_size=", "population.place=")
            name = " ".join(override for override in job.overrides.task if not override.startswith(own))
            held = error.folder if isinstance(error, BusyError) else None
            failure = Failure(name, *describe(error), held)
            # A failure's message stands in the summary of the sweep.
            print(
                f"rnnbench: left for now: {name}: {failure.message}" if held else f"rnnbench: failed: {name}",
                file=sys.stderr,
            )
            return failure
        return None
