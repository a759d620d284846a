"""`rnnbench [key=value ...]`: Hydra composes the configuration of each job, and it is trained."""

import contextlib
import os
import sys
import textwrap
import traceback
import warnings
from collections.abc import Iterator
from pathlib import Path

import hydra
from hydra._internal.utils import get_args_parser
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from rnnbench.config.messages import GROUPS, TRACEBACK, describe, describe_stumble, wants_traceback
from rnnbench.config.parse import parse_members
from rnnbench.errors import BusyError, Failure, UserError

HELP = """\
rnnbench trains recurrent cells on tasks whose answer lies far back in the input.

Usage
  rnnbench [key=value ...]            train one run
  rnnbench -m key=a,b key=1,2 ...     train every combination (a sweep)
  rnnbench +experiment=NAME           train a whole study
  rnnbench status DIR                 how far the sweeps in DIR are
  rnnbench show DIR [--figures DIR2]  table, sentences and figures of the results in DIR
  rnnbench compare DIR                statistics over seeds, as table, Markdown and CSV
  rnnbench report DIR [--output FILE] all of it as one interactive HTML page
  rnnbench probe RUN                  gates, Jacobians and memory of trained models, from their checkpoints

Examples
  rnnbench model=gru task=adding task.length=100 optimizer.learning_rate=3e-3 seed=1
  rnnbench -m model=rnn,lstm,gru seed=0,1,2
  rnnbench +experiment=quickstart output=results/quickstart
  rnnbench --config-dir my_conf model=my_cell

The same command again goes on where it was stopped; a finished run is not trained again, unless overwrite=true.

Groups, one option of each (group=option)
{groups}

Keys, each to be changed by key.subkey=value; +key=value adds an argument of a _target_
{keys}

More: --cfg job (what a command resolves to), --info (where it comes from), --version, --hydra-help.
HYDRA_FULL_ERROR=1 in the environment shows the traceback of an error."""


def main(argv: list[str]) -> int:
    """Trains what a command line asks for; the exit code."""
    parser = get_args_parser()
    parser.error = _refuse_flags  # type: ignore[method-assign,assignment]
    # Hydra wants all overrides in one place; a person types them before and after the flags.
    flags = parser.parse_intermixed_args(argv)
    argv = [*flags.overrides, *(argument for argument in argv if argument not in flags.overrides)]
    if flags.multirun and (flags.cfg or flags.info):
        raise UserError("-m trains, so it cannot go with --cfg or --info: leave -m out, and choose one value a key")
    if flags.config_dir is not None and not Path(flags.config_dir).is_dir():
        raise UserError(f"--config-dir: there is no folder {flags.config_dir}")
    job = _Job(show_tracebacks=wants_traceback())
    for study, path in _studies().items():
        ConfigStore.instance().store(group="experiment", name=study, node=OmegaConf.load(path), package="_global_")
    if flags.help:
        print(_help(flags.overrides, flags.config_dir))
        return 0
    application = hydra.main(version_base="1.3", config_path=str(_shipped("conf")), config_name="config")(job)
    with warnings.catch_warnings(), _errors_raised(), _arguments(["rnnbench", *argv]):
        # A folder on Hydra's search path that does not exist is a mistake, not a hint.
        warnings.filterwarnings("error", message="provider=hydra.searchpath")
        try:
            application()
        except SystemExit as stop:
            return stop.code if isinstance(stop.code, int) else 1
        except (AssertionError, AttributeError, TypeError, ValueError) as error:
            # Jobs keep their errors: what arrives here is Hydra stumbling over a command line or a file.
            raise UserError(describe_stumble(error, flags.overrides)) from error
    if job.error is not None:
        raise job.error
    return 0


def _help(overrides: list[str], config_dir: str | None) -> str:
    """What the command line takes. (Hydra's own help lists its groups too, which takes it half a second.)"""
    if config_dir is not None:
        overrides = [*overrides, f"hydra.searchpath=[file://{Path(config_dir).absolute()}]"]
    with hydra.initialize_config_dir(str(_shipped("conf")), version_base="1.3"):
        keys = OmegaConf.to_yaml(hydra.compose("config", overrides=overrides))
        loader = GlobalHydra.instance().config_loader()
        options = {group: ", ".join(loader.get_group_options(group, overrides=overrides)) for group in GROUPS}
    rows = [f"  {group:<11} {options[group]:<42} {meaning}" for group, meaning in GROUPS.items()]
    return HELP.format(groups="\n".join(rows), keys=textwrap.indent(keys.rstrip(), "  "))


def _shipped(folder: str) -> Path:
    """A folder that a wheel carries inside the package, and a checkout at its top."""
    package = Path(__file__).parent.parent
    inside = package / folder
    return inside if inside.is_dir() else package.parent / folder


def _studies() -> dict[str, Path]:
    """The studies' configurations by name: `experiments/<study>/<study>.yaml`."""
    paths = sorted(_shipped("experiments").glob("*/*.yaml"))
    return {path.stem: path for path in paths if path.stem == path.parent.name}


def _refuse_flags(message: str) -> None:
    raise UserError(f"{message}; `rnnbench --help` explains the command line")


@contextlib.contextmanager
def _errors_raised() -> Iterator[None]:
    """Lets Hydra raise its errors to us, where it would print them and exit."""
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


class _Job:
    """Trains the job that Hydra hands over, in this process or in one of a launcher's."""

    def __init__(self, show_tracebacks: bool) -> None:
        self.show_tracebacks = show_tracebacks
        self.error: Exception | None = None

    def __call__(self, cfg: DictConfig) -> Failure | None:
        job = HydraConfig.get()
        try:
            configs = parse_members(cfg)
            from rnnbench.training import runner

            runner.train(*configs)
        except Exception as error:
            if job.mode != RunMode.MULTIRUN:
                self.error = error
                return None
            if self.show_tracebacks:
                traceback.print_exception(error)
            own = ("population.max_size=", "population.place=")
            name = " ".join(override for override in job.overrides.task if not override.startswith(own))
            held = error.folder if isinstance(error, BusyError) else None
            failure = Failure(name, *describe(error), held)
            print(f"rnnbench: {'left for now' if held else 'failed'}: {name}: {failure.message}", file=sys.stderr)
            return failure
        return None
