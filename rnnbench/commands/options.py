"""What `rnnbench cells` and `rnnbench tasks` share: some options of a group, chosen by overrides."""

import argparse
from typing import NamedTuple

from rnnbench.config.compose import check_config_dir, described
from rnnbench.config.overrides import check_keys


class Options(NamedTuple):
    """Options of a group of the configuration.

    Attributes:
        names: the options that the overrides choose, or all.
        others: the other overrides.
        known: what each known option is, by name.
    """

    names: list[str]
    others: list[str]
    known: dict[str, str]


def add_overrides(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments `overrides` and `config_dir`."""
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="as for training")
    parser.add_argument("--config-dir", "-cd", metavar="DIR", help="a folder with your own options, as for training")


def chosen(arguments: argparse.Namespace, group: str) -> Options:
    """Returns the options of a group that the arguments choose: those of `group=a,b`, or all.

    Raises:
        UserError: an override has an unknown key, or the folder is not usable.
    """
    check_config_dir(arguments.config_dir, "--config-dir")
    check_keys(arguments.overrides)
    own = [override.partition("=")[2] for override in arguments.overrides if override.startswith(f"{group}=")]
    others = [override for override in arguments.overrides if not override.startswith(f"{group}=")]
    known = described(group, arguments.config_dir)
    return Options(own[-1].split(",") if own else sorted(known), others, known)
