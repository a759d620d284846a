"""Describes mistakes in one line: what was expected, what was given and what is allowed."""

import dataclasses
import difflib
import os
import re
import sys
import typing
from collections.abc import Collection, Iterable
from typing import Any

import yaml
from hydra.errors import (
    CompactHydraException,
    ConfigCompositionException,
    MissingConfigException,
    OverrideParseException,
)
from omegaconf import ListConfig
from omegaconf.errors import GrammarParseError, MissingMandatoryValue, OmegaConfBaseException, ValidationError

from rnnbench.config.annotations import as_yaml, in_words
from rnnbench.errors import FailedJobsError, UserError
from rnnbench.visible import visible

TRACEBACK = "HYDRA_FULL_ERROR"
"""Environment variable: set to 1, it shows the traceback of an error."""

LESS_MEMORY = (
    "a smaller model, batch, test set or task.length needs less, and so do model.remat_every and, in a sweep, "
    "population.max_size"
)
"""What to do about too little memory."""

BUG = 1
"""The exit code for an error that is not the user's."""

GROUPS = {
    "model": "the recurrent cell",
    "init": "how its cell starts",
    "task": "what it learns",
    "optimizer": "optax's own",
    "schedule": "how its learning rate changes",
    "logger": "where else the records go",
    "launcher": "where the jobs of a sweep run",
    "experiment": "a study's settings, by +experiment=NAME",
}
"""The groups of the configuration, and what an option of each group selects."""


def name_left_out(reasons: Iterable[str]) -> None:
    """Says on stderr what is left out of a command, and why."""
    for reason in reasons:
        print(visible(f"rnnbench: left out: {reason}"), file=sys.stderr)


def wants_traceback() -> bool:
    """Returns whether the user asked for the traceback of an error."""
    return os.environ.get(TRACEBACK) == "1"


def describe(error: BaseException) -> tuple[str, int]:
    """Returns the message for an error, and the exit code. Hydra's errors lose their stack and their hints.

    The message is one line, whatever is in the input that it quotes, unless it lists failed jobs or tells of a bug.
    """
    message, code = _described(error)
    several = code == BUG or isinstance(error, FailedJobsError)
    return visible(message, keep="\n" if several else ""), code


def _described(error: BaseException) -> tuple[str, int]:
    text = str(error).strip()
    cause = error.__cause__
    if isinstance(error, UserError):
        return text, error.exit_code
    if isinstance(error, MissingConfigException):
        return _missing(error), 2
    if isinstance(error, OverrideParseException):
        return unreadable(error.override or ""), 2
    if isinstance(error, OmegaConfBaseException):
        return describe_config(error), 2
    if isinstance(error, ConfigCompositionException):
        if isinstance(cause, OmegaConfBaseException):
            return describe_config(cause), 2
        return _composition(text), 2
    if text.startswith("Input config does not have a `_target_` field"):
        return "hydra.launcher and hydra.sweeper: expected keys and values; launcher=NAME selects a launcher", 2
    if isinstance(error, CompactHydraException):
        return text, 2
    if isinstance(error, UserWarning):
        return f"hydra.searchpath: {text.partition('path=')[2].replace(' is not', ': the folder is not')}", 2
    if isinstance(error, yaml.YAMLError):
        return f"not valid YAML: {' '.join(text.split())}", 2
    if isinstance(error, FileExistsError):
        return f"{error.filename}: expected a folder, got a file", 2
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}", 2
    if isinstance(error, RecursionError) and "full_key" in text:  # OmegaConf names the key
        return "the configuration is nested too deep, or contains itself, as the YAML &a [*a] does", 2
    if isinstance(error, MemoryError) or text.startswith("RESOURCE_EXHAUSTED"):
        return f"not enough memory: {' '.join(text.split()) or 'nothing is left'}; {LESS_MEMORY}", 2
    if (said := refused_switch(error)) is not None:
        return said, 2
    switches = ", ".join(sorted(name for name in os.environ if name.startswith(("JAX_", "XLA_"))))
    unless = f", unless {switches} in the environment caused it" if switches else ""
    return f"{type(error).__name__}: {text}\n  This looks like a bug{unless}; {TRACEBACK}=1 shows where it is.", BUG


def refused_switch(error: BaseException) -> str | None:
    """Returns the message for an error of JAX about the value of an environment variable, or None for another error."""
    text = str(error)
    found = re.search(r"(?:JAX flag|environment) '?(jax_\w+)", text, re.IGNORECASE)
    if not isinstance(error, ValueError) or found is None:
        return None
    name = found[1].upper()
    return f"{name}: JAX does not take {os.environ.get(name, '')!r}; unset it in the environment, or correct it"


def unreadable(override: str) -> str:
    """Returns the message for an override without a key, or that Hydra's grammar does not allow."""
    return f"cannot read {override!r}: expected key=value, +key=value or ~key, such as seed=1"


def stopped_by(error: BaseException) -> str:
    """Returns what stopped code that the configuration names, in one line: the error's type and its first line."""
    if isinstance(error, SystemExit):
        return f"it ends the process (sys.exit({error.code!r}))"
    first = str(error).strip().partition("\n")[0]
    return f"{': '.join(filter(None, [type(error).__name__, first]))} ({TRACEBACK}=1 shows where)"


def describe_config(error: OmegaConfBaseException) -> str:
    """Returns the message for an OmegaConf error: what was expected, what was given and what is allowed."""
    path = error.full_key or str(error.key or "")
    if isinstance(error, ValidationError):
        hint = error.ref_type if error.ref_type is not None else Any
        if error.parent_node is not None and dataclasses.is_dataclass(error.object_type):
            hint = typing.get_type_hints(error.object_type).get(error.key, hint)
        return f"{path}: expected {in_words(hint)}, got {as_yaml(error.value)}"
    text = str(error.msg or error).splitlines()[0]
    if text.startswith("Cannot merge"):
        wanted, given = "keys and values", "a list"
        if isinstance(error.parent_node, ListConfig):
            wanted, given = given, wanted
        return f"{path}: expected {wanted}, got {given}"
    if text.endswith("does not support deletion"):
        return f"{path}: cannot be deleted; without it on the command line, it has its default"
    if isinstance(error, GrammarParseError):
        return f"{path}: cannot read an interpolation: {text}; expected ${{KEY}}, or \\${{ for ${{ as text"
    if isinstance(error, MissingMandatoryValue):
        return f"{path}: a value is missing"
    if found := re.match(r"Interpolation key '(.*)' not found", text):
        return f"{path}: ${{{found[1]}}} refers to {found[1]}, which does not exist"
    if text.endswith("HydraConfig was not set"):  # an override of a key within a node that depends on other options
        return (
            f"{path}: the configuration takes all of it from elsewhere, depending on the options chosen, so no key in "
            f"it can be set; set the key that it is taken from, such as experiment.{path}.NAME.KEY of an experiment"
        )
    if isinstance(error, KeyError | AttributeError) and error.parent_node is not None:
        parent = error.parent_node
        options = [str(key) for key in parent if key not in ("_target_", "hydra")]
        where, _, key = path.rpartition(".")
        more = f" (+{path}=... adds an argument of {parent['_target_']})" if "_target_" in parent else ""
        return unknown_key(path, f"{where or 'a run'} has {listed(options)}{more}", key, options)
    return f"{path}: {text}" if path else text


def describe_stumble(error: Exception, overrides: Iterable[str]) -> str:
    """Returns the message for an error that Hydra does not handle, given the overrides that caused it."""
    for override in overrides:
        key, _, option = override.lstrip("+").partition("=")
        group, dot, _ = key.partition(".")
        if key in GROUPS and (option == "null" or not re.match(r"\w", option)):
            off = "; logger=none switches it off" if key == "logger" else ""
            return f"{key}: expected the name of an option, got {option}{off}"
        if group in GROUPS and dot and "Unexpected type for root: NoneType" in str(error):
            return f"{key}: there is no {group} to which this could belong; {group}=NAME selects one"
    if isinstance(error, UnicodeDecodeError):
        return f"a file of the configuration is not UTF-8 text: {error.reason} at its byte {error.start}"
    return f"cannot compose the configuration: {error}"


def unknown_key(path: str, known: str, key: str, options: Iterable[str]) -> str:
    """Returns the message for an unknown key: where it is, which keys exist, and which one was probably meant."""
    return f"{path}: unknown key; {known}{did_you_mean(key, options)}"


def did_you_mean(word: str, options: Iterable[str]) -> str:
    """Returns `. Did you mean x?`, or an empty string if no option is close to the word."""
    near = difflib.get_close_matches(word, list(options), n=2)
    if not near:
        # An abbreviation of a long name: lr for learning_rate.
        near = [option for option in options if word and word == "".join(part[:1] for part in option.split("_"))]
    return f". Did you mean {' or '.join(near)}?" if near else ""


def listed(names: Collection[str]) -> str:
    return ", ".join(names) or "nothing"


def _missing(error: MissingConfigException) -> str:
    """Returns the message for a group or an option that does not exist."""
    missing = error.missing_cfg_file or ""
    group, _, option = missing.rpartition("/")
    if not group:
        return f"cannot find the configuration {missing!r} (--config-name)"
    if error.options is None and group in GROUPS:
        return f"{group}: expected the name of an option, got {option!r}"
    if error.options is None:
        return f"{group}: unknown group; the groups are {', '.join(GROUPS)}{did_you_mean(group, GROUPS)}"
    options = ", ".join(error.options)
    return f"{group}: unknown option {option!r}; expected one of {options}{did_you_mean(option, error.options)}"


def _composition(text: str) -> str:
    """Returns the message for Hydra's other errors about a command line, recognised by how they begin."""
    first, *rest = text.splitlines()
    if found := re.match(r"Ambiguous value for argument '(.*)'", first):
        return f"{found[1]}: several values for one run; add -m to train a run for each of them"
    if found := re.match(r"Could not override '([^']*)'", first):
        return f"{found[1]}: unknown key or group; `rnnbench --help` lists them{did_you_mean(found[1], GROUPS)}"
    if found := re.match(r"Could not delete from config. '([^']*)' does not exist", first):
        return f"{found[1]}: there is no such key to delete"
    if found := re.match(r"Could not append to config. An item is already at '(.*)'", first):
        return f"{found[1]}: it is already there; leave out the + to set it"
    return " ".join([first, *(line.strip() for line in rest)])
