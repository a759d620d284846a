"""Composes configurations without the command line: from overrides, through Hydra, to checked `Config`s."""

import contextlib
import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path

import hydra
from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from rnnbench.config.messages import describe
from rnnbench.config.parse import parse
from rnnbench.config.schema import Config
from rnnbench.errors import UserError


def shipped(folder: str) -> Path:
    """Returns a folder that a wheel carries inside the package, and a checkout at its top."""
    package = Path(__file__).parent.parent
    inside = package / folder
    return inside if inside.is_dir() else package.parent / folder


def register_studies() -> None:
    """Makes the studies options of the group `experiment`: `experiments/<study>/<study>.yaml`."""
    for path in sorted(shipped("experiments").glob("*/*.yaml")):
        if path.stem == path.parent.name:
            node = OmegaConf.load(path)
            ConfigStore.instance().store(group="experiment", name=path.stem, node=node, package="_global_")


def compose(*overrides: str, config_dir: str | Path | None = None) -> Config:
    """Returns the configuration of one run, as the command line composes it.

        compose("model=gru", "task=adding", "task.length=100", "optimizer.learning_rate=3e-3", "seed=1")

    Args:
        overrides: as on the command line.
        config_dir: a folder with models and tasks of your own, as `--config-dir` takes it.

    Raises:
        UserError: an override is not valid; the message says what was expected.
    """
    with _hydra(config_dir) as more:
        return parse(hydra.compose("config", overrides=[*overrides, *more]))


def compose_sweep(*overrides: str, config_dir: str | Path | None = None) -> list[Config]:
    """Returns the configurations of all runs of a sweep: every combination, as the command line's `-m` makes them.

        compose_sweep("model=rnn,lstm,gru", "seed=range(5)")

    Args:
        overrides: as on the command line. `+experiment=NAME` brings the axes of a study.
        config_dir: a folder with models and tasks of your own, as `--config-dir` takes it.

    Raises:
        UserError: an override is not valid; the message says what was expected.
    """
    with _hydra(config_dir) as more:
        single = [override for override in overrides if not _parsed([override])[0].is_sweep_override()]
        study = hydra.compose("config", overrides=[*single, *more], return_hydra_config=True)
        params = OmegaConf.select(study, "hydra.sweeper.params") or {}
        given = [*(f"{key}={value}" for key, value in params.items()), *overrides]
        axes = []
        # Of several overrides of a key the last one counts.
        for override in {o.get_key_element(): o for o in _parsed(given)}.values():
            if not override.is_sweep_override():
                axes.append([override.input_line or ""])
            elif not override.is_discrete_sweep():
                raise UserError(
                    f"{override.input_line}: expected values to try, such as 1,2 or range(3), got an interval"
                )
            else:
                axes.append([f"{override.get_key_element()}={text}" for text in override.sweep_string_iterator()])
        return [parse(hydra.compose("config", overrides=[*point, *more])) for point in itertools.product(*axes)]


def _parsed(overrides: Sequence[str]) -> list:
    return OverridesParser.create().parse_overrides(list(overrides))


@contextlib.contextmanager
def _hydra(config_dir: str | Path | None) -> Iterator[list[str]]:
    """Hydra with the shipped configuration; the overrides that add a user's own. Its errors become `UserError`s."""
    if config_dir is not None and not Path(config_dir).is_dir():
        raise UserError(f"config_dir: there is no folder {config_dir}")
    register_studies()
    more = [] if config_dir is None else [f"hydra.searchpath=[file://{Path(config_dir).absolute()}]"]
    try:
        with hydra.initialize_config_dir(str(shipped("conf")), version_base="1.3"):
            yield more
    except (HydraException, OmegaConfBaseException) as error:
        raise UserError(describe(error)[0]) from error
