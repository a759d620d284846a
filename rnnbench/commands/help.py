"""`rnnbench --help`: usage, the groups and their options, and every key with its value, meaning and limits."""

import itertools
import json
import textwrap
import typing
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import hydra
from hydra.core.global_hydra import GlobalHydra
from omegaconf import OmegaConf

from rnnbench.commands import COMMANDS
from rnnbench.config.messages import GROUPS
from rnnbench.config.metadata import Key, keys
from rnnbench.config.schema import Config

WIDTH = 98

LEFT = 43
"""Width of the left column."""

TIE = "\N{NO-BREAK SPACE}"

HELP = """\
rnnbench trains recurrent cells on tasks whose answer depends on the distant past.

Usage
  rnnbench [key=value ...]            train one run
  rnnbench -m key=a,b key=1,2 ...     train every combination (a sweep)
  rnnbench +experiment=NAME           train a whole study
{commands}

Examples
  rnnbench model=gru task=adding task.length=100 optimizer.learning_rate=3e-3 seed=1
  rnnbench -m model=rnn,lstm,gru seed=0,1,2
  rnnbench +experiment=quickstart output=results/quickstart
  rnnbench --config-dir my_conf model=my_cell

Run the same command again to resume what was interrupted. A finished run is not trained again,
unless overwrite=true.

Groups (group=option selects one option of each)
{groups}

What the selected options build, with which arguments (key=value; +key=value adds an argument)
{nodes}

Keys (key=value), their values on this command line, and their meaning
{keys}

More
  --cfg job              show what a command line resolves to (--resolve fills in ${{...}})
  --info                 show where the configuration comes from
  --config-dir DIR       a folder with your own options, such as DIR/model/my_cell.yaml
  --version, --hydra-help
  HYDRA_FULL_ERROR=1     environment variable: show the traceback of an error"""


def page(conf: Path, overrides: Sequence[str], config_dir: str | None) -> str:
    """Returns the help page. (Hydra's own help also lists Hydra's groups, and takes half a second longer.)

    Args:
        conf: the folder of the configuration.
        overrides: the overrides given with `--help`; the page shows the resulting values.
        config_dir: the user's own configuration folder.
    """
    overrides = list(overrides)
    if config_dir is not None:
        overrides.append(f"hydra.searchpath=[file://{Path(config_dir).absolute()}]")
    with hydra.initialize_config_dir(str(conf), version_base="1.3"):
        values: Any = OmegaConf.to_container(hydra.compose("config", overrides=overrides))
        loader = GlobalHydra.instance().config_loader()
        options = {group: ", ".join(loader.get_group_options(group, overrides=overrides)) for group in GROUPS}
    groups = [_row(f"{group:<11} {options[group]:<27}", meaning) for group, meaning in GROUPS.items()]
    commands = [f"  {f'rnnbench {name} {takes}':<35} {meaning}" for name, (takes, meaning) in COMMANDS.items()]
    return HELP.format(
        commands="\n".join(commands),
        groups="\n".join(groups),
        nodes="\n".join(_nodes(values)),
        keys="\n".join(_keys(values)),
    )


def _nodes(values: Mapping[str, Any]) -> Iterator[str]:
    """Yields a line for every key with subkeys: the class or function that it names, and its arguments."""
    for key in filter(_is_node, keys(Config)):
        value = _value(values, key)
        target, text = "{...}" if value and isinstance(value, Mapping) else _yaml(value), key.declared.help
        if isinstance(value, Mapping) and "_target_" in value:
            target = value["_target_"]
            arguments = {name: item for name, item in value.items() if name not in ("_target_", "name")}
            text = " ".join(f"{name}={_yaml(item)}" for name, item in arguments.items())
        yield _row(f"{key.path:<11} {target:<26}", text)


def _keys(values: Mapping[str, Any]) -> Iterator[str]:
    """Yields the lines of every other key, section by section; keys without a section come first."""
    of_sections: dict[str, list[Key]] = {"": []}
    for key in itertools.filterfalse(_is_node, keys(Config)):
        of_sections.setdefault(key.path.rpartition(".")[0], []).append(key)
    for section, own in of_sections.items():
        if section:
            meaning = (typing.get_type_hints(Config)[section].__doc__ or "").rstrip(".")
            yield "\n" + textwrap.fill(f"{section}: {meaning}", WIDTH, initial_indent="  ", subsequent_indent="    ")
        for key in own:
            limits = [limit.replace(" ", TIE) for limit in key.declared.limits()]
            text = f"{key.declared.help} ({', '.join(limits)})" if limits else key.declared.help
            yield _row(f"{key.path:<24} {_yaml(_value(values, key)):<15}", text)


def _is_node(key: Key) -> bool:
    return key.hint in (dict[str, Any], dict[str, Any] | None)


def _value(values: Mapping[str, Any], key: Key) -> Any:
    value: Any = values
    for part in key.path.split("."):
        value = value.get(part)
    return value


def _row(left: str, text: str) -> str:
    """Returns two columns. Both are wrapped, and the right one starts on a new line if the left one is too long."""
    left = textwrap.fill(left.rstrip(), WIDTH, initial_indent="  ", subsequent_indent=" " * 14)
    left = f"{left} ".ljust(LEFT)
    indent = " " * LEFT
    right = textwrap.fill(text, WIDTH, initial_indent=indent, subsequent_indent=indent).replace(TIE, " ")
    return left + right[LEFT:] if len(left) == LEFT else f"{left.rstrip()}\n{right}"


def _yaml(value: Any) -> str:
    """Returns a value as it is typed on the command line."""
    if isinstance(value, list):
        return f"[{','.join(map(_yaml, value))}]"
    return value if isinstance(value, str) else json.dumps(value)
