"""Composes configurations without the command line: Hydra turns overrides into checked `Config` objects."""

import contextlib
import itertools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import hydra
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, OverrideType
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf, open_dict, read_write
from omegaconf.errors import OmegaConfBaseException

from rnnbench.config.annotations import is_number
from rnnbench.config.applicable import check_applicable
from rnnbench.config.messages import describe, describe_stumble, name_left_out
from rnnbench.config.overrides import check_axes, check_keys
from rnnbench.config.parse import cfg_of_member, parse
from rnnbench.config.schema import Config
from rnnbench.errors import InapplicableError, UserError


def shipped(folder: str) -> Path:
    """Returns the path of a folder that is inside the package in a wheel, and at the top level in a checkout."""
    package = Path(__file__).parent.parent
    inside = package / folder
    return inside if inside.is_dir() else package.parent / folder


def check_config_dir(folder: str | Path | None, name: str) -> None:
    """Checks the user's own configuration folder, if there is one; `name` is what the user calls it.

    Raises:
        UserError: there is no such folder, or one of its options has the name of a shipped one, which Hydra would use.
    """
    if folder is None:
        return
    if not (str(folder) and Path(folder).is_dir()):
        raise UserError(f"{name}: there is no folder {str(folder) or repr('')}")
    for path in sorted(Path(folder).glob("*/*.yaml")):
        if (shipped("conf") / path.parent.name / path.name).exists():
            raise UserError(
                f"{name}: expected names that rnnbench does not have itself, got {path}, in place of which its own "
                f"{path.parent.name}={path.stem} would be used"
            )


def described(group: str, config_dir: str | Path | None = None) -> dict[str, str]:
    """Returns what the comment on the first line of each option's file says, by the option's name.

    Args:
        group: a group of the configuration, such as `model`.
        config_dir: a folder with your own options besides the shipped ones.
    """
    found = {}
    for folder in (shipped("conf"), *([Path(config_dir)] if config_dir else [])):
        for path in sorted((folder / group).glob("*.yaml")):
            first = path.read_text().partition("\n")[0]
            found[path.stem] = first.lstrip("# ") if first.startswith("#") else ""
    return found


def register_studies() -> None:
    """Adds every study, `experiments/<study>/<study>.yaml`, to the options of the group `experiment`."""
    for path in sorted(shipped("experiments").glob("*/*.yaml")):
        if path.stem == path.parent.name:
            node = OmegaConf.load(path)
            ConfigStore.instance().store(group="experiment", name=path.stem, node=node, package="_global_")


def compose(*overrides: str, config_dir: str | Path | None = None) -> Config:
    """Returns the configuration of one run, just as the command line composes it.

        compose("model=gru", "task=adding", "task.length=100", "optimizer.learning_rate=3e-3", "seed=1")

    Args:
        overrides: overrides as on the command line.
        config_dir: a folder with your own models and tasks, as for `--config-dir`.

    Raises:
        UserError: an override is not valid; the message says what was expected.
    """
    check_keys(overrides)
    with _hydra(config_dir) as more:
        return _Composed([*overrides, *more]).parse({})


def compose_sweep(*overrides: str, config_dir: str | Path | None = None) -> list[Config]:
    """Returns the configurations of all runs of a sweep: every combination, as with `-m` on the command line.

    Combinations whose choices do not go together are left out, and named on stderr.

        compose_sweep("model=rnn,lstm,gru", "seed=range(5)")

    Args:
        overrides: overrides as on the command line. `+experiment=NAME` adds the axes of a study.
        config_dir: a folder with your own models and tasks, as for `--config-dir`.

    Raises:
        UserError: an override is not valid; the message says what was expected.
    """
    check_keys(overrides)
    with _hydra(config_dir) as more:
        single = [override for override in overrides if not _read([override])[0].is_sweep_override()]
        params = OmegaConf.select(_composed([*single, *more]), "hydra.sweeper.params") or {}
        given = _read([*(f"{key}={value}" for key, value in params.items()), *overrides])
        last = {override.get_key_element(): override for override in given}  # the last one for each key counts
        check_axes(last.values())
        composed: dict[tuple[str, ...], _Composed] = {}
        configs = []
        inapplicable: dict[str, InapplicableError] = {}
        for point in itertools.product(*map(_options, last.values())):
            own = tuple(option.override for option in point)
            if own not in composed:
                composed[own] = _Composed([*own, *more])
            numbers = {key: value for option in point for key, value in option.numbers.items()}
            config = composed[own].parse(numbers)
            try:
                check_applicable(config)
            except InapplicableError as error:
                inapplicable[str(error)] = error
            else:
                configs.append(config)
        if not configs and inapplicable:
            raise next(iter(inapplicable.values()))
        name_left_out(inapplicable)
        return configs


class _Option(NamedTuple):
    """A value of an axis: an override to compose with, and numbers to set afterwards, because composing is slow."""

    override: str
    numbers: dict[str, Any]


def _options(override: Override) -> list[_Option]:
    if not override.is_sweep_override():
        return [_Option(override.input_line or "", {})]
    key, values = override.get_key_element(), [*override.sweep_iterator()]
    texts = [f"{key}={text}" for text in override.sweep_string_iterator()]
    if override.type is OverrideType.CHANGE and all(map(is_number, values)):
        return [_Option(texts[0], {key: value}) for value in values]
    return [_Option(text, {}) for text in texts]


class _Composed:
    """The configuration that Hydra composes from overrides, before it is parsed."""

    def __init__(self, overrides: Sequence[str]) -> None:
        self.cfg = _composed(overrides)
        HydraConfig.instance().set_config(self.cfg)
        self.hydra = HydraConfig.instance().cfg
        with read_write(self.cfg), open_dict(self.cfg):
            del self.cfg["hydra"]

    def parse(self, numbers: Mapping[str, Any]) -> Config:
        """Returns the parsed configuration after setting some of its numbers."""
        HydraConfig.instance().cfg = self.hydra  # interpolations of ${hydra:...} read this
        return parse(cfg_of_member(self.cfg, numbers))


def _read(overrides: Sequence[str]) -> list[Override]:
    return OverridesParser.create(config_loader=GlobalHydra.instance().config_loader()).parse_overrides([*overrides])


def _composed(overrides: Sequence[str]) -> DictConfig:
    """Returns the composed configuration, including its node `hydra`."""
    try:
        return hydra.compose("config", overrides=[*overrides], return_hydra_config=True)
    except (AssertionError, AttributeError, TypeError, ValueError) as error:
        raise UserError(describe_stumble(error, overrides)) from error


@contextlib.contextmanager
def _hydra(config_dir: str | Path | None) -> Iterator[list[str]]:
    """Starts Hydra with the shipped configuration, and yields the overrides that add the user's own.

    Hydra's errors become `UserError`s.
    """
    check_config_dir(config_dir, "config_dir")
    register_studies()
    more = [] if config_dir is None else [f"hydra.searchpath=[file://{Path(config_dir).absolute()}]"]
    outer = GlobalHydra.instance().hydra, HydraConfig.instance().cfg  # this may run inside another Hydra application
    GlobalHydra.instance().clear()
    try:
        with hydra.initialize_config_dir(str(shipped("conf")), version_base="1.3"):
            yield more
    except (HydraException, OmegaConfBaseException) as error:
        raise UserError(describe(error)[0]) from error
    finally:
        GlobalHydra.instance().hydra, HydraConfig.instance().cfg = outer
