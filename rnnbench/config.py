"""A run's configuration: its schema, its check and its identity; and how a `_target_` becomes an object.

Whatever a user can set right raises `UserError`, which names the key, what was expected and what came.
"""

import contextlib
import dataclasses
import difflib
import functools
import hashlib
import importlib
import inspect
import json
import re
import types
import typing
import warnings
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from omegaconf import MISSING, DictConfig, OmegaConf
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException, ValidationError

from rnnbench.errors import UserError


@dataclasses.dataclass
class ModelConfig:
    """Embedding (for tokens), a stack of recurrent layers of one cell, and a linear readout."""

    name: str = MISSING
    cell: dict[str, Any] = MISSING
    hidden_size: int = 64
    num_layers: int = 1
    embedding_size: int = 32


@dataclasses.dataclass
class TrainConfig:
    """Length of training and of its intervals, in steps; `clip_norm` None: gradients are not clipped."""

    steps: int = 2000
    batch_size: int = 64
    eval_every: int = 100
    log_every: int = 10
    clip_norm: float | None = 1.0
    test_size: int = 1024
    checkpoint_seconds: float = 60.0


@dataclasses.dataclass
class ProbeConfig:
    """What is measured on a fixed batch of `size` examples at every evaluation."""

    gradient_flow: bool = True
    size: int = 64


@dataclasses.dataclass
class Config:
    """Everything about a run. `task`, `optimizer` and `logger` are keyword arguments of their `_target_`.

    Attributes:
        devices: number of CPU devices; None: one per core.
        experiment: tables that a study looks its settings up in. What comes out of them is in the
            settings themselves, so they are no part of a run's identity.
    """

    model: ModelConfig = dataclasses.field(default_factory=ModelConfig)
    task: dict[str, Any] = MISSING
    optimizer: dict[str, Any] = MISSING
    train: TrainConfig = dataclasses.field(default_factory=TrainConfig)
    probe: ProbeConfig = dataclasses.field(default_factory=ProbeConfig)
    logger: dict[str, Any] | None = None
    seed: int = 0
    output: str = "results"
    overwrite: bool = False
    devices: int | None = None
    experiment: dict[str, Any] = dataclasses.field(default_factory=dict)


CELL_ARGUMENTS = ("in_features", "hidden_features", "rngs")
"""What a cell is called with besides its own keys, as those of `flax.nnx` are."""

LEAST = {
    "model.hidden_size": 1,
    "model.num_layers": 1,
    "model.embedding_size": 1,
    "train.steps": 1,
    "train.batch_size": 1,
    "train.eval_every": 1,
    "train.log_every": 1,
    "train.test_size": 1,
    "train.checkpoint_seconds": 0,
    "probe.size": 1,
    "seed": 0,
    "devices": 1,
}
"""Smallest value allowed for a key."""

HYDRA_KEYS = ("_target_", "_args_", "_partial_", "_recursive_", "_convert_")


def parse(cfg: DictConfig) -> Config:
    """Typed configuration of a composed one, checked down to the arguments of every `_target_`."""
    try:
        values = OmegaConf.to_container(cfg, resolve=True, throw_on_missing=True)
        assert isinstance(values, dict)
        # An empty group is chosen to switch something off.
        values["logger"] = values.get("logger") or None
        _check_sections(values, Config)
        # Merging plain values into the schema is what refuses keys that were slipped in by `+key=value`.
        config = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(Config), values))
    except OmegaConfBaseException as error:
        raise UserError(config_error(error)) from error
    assert isinstance(config, Config)
    for path, node in (("task", config.task), ("model", {"name": config.model.name})):
        name = node.get("name")
        if not isinstance(name, str) or not name:
            raise UserError(f"{path}.name: expected a name for records and figures, got {_shown(name)}")
    _check_ranges(config)
    check_call(config.model.cell, "model.cell", given=CELL_ARGUMENTS)
    check_call(_without_name(config.task), "task")
    check_call(_without_name(config.optimizer), "optimizer")
    if config.logger is not None:
        check_call(_without_name(config.logger), "logger")
    return config


def _check_sections(values: Mapping[str, Any], schema: type, prefix: str = "") -> None:
    """Checks that what has keys of its own in the schema has them in the values."""
    hints = typing.get_type_hints(schema)
    for key, hint in hints.items():
        value = values.get(key, {})
        if dataclasses.is_dataclass(hint):
            if not isinstance(value, Mapping):
                raise UserError(f"{prefix}{key}: expected {_in_words(hint)}, got {_shown(value)}")
            _check_sections(value, hint, f"{prefix}{key}.")
        elif hint == dict[str, Any] and not isinstance(value, Mapping):
            raise UserError(f"{prefix}{key}: expected keys and values, among them _target_, got {_shown(value)}")


def _check_ranges(config: Config) -> None:
    values = flatten(dataclasses.asdict(config))
    for path, least in LEAST.items():
        value = values[path]
        if value is not None and not least <= value:
            raise UserError(f"{path}: expected {least} or more, got {_shown(value)}")
    if config.train.clip_norm is not None and not config.train.clip_norm > 0:
        raise UserError(f"train.clip_norm: expected a number above 0, or null, got {_shown(config.train.clip_norm)}")
    if config.seed >= 2**32:
        raise UserError(f"seed: expected less than 2**32, got {config.seed!r}")


def identity(config: Config) -> dict[str, Any]:
    """The part of a configuration that determines the run's numbers, as plain nested values."""
    values = dataclasses.asdict(config)
    del values["train"]["checkpoint_seconds"]
    return {key: values[key] for key in ("model", "task", "optimizer", "train", "probe", "seed")}


def run_id(config: Config) -> str:
    """First 12 hexadecimal digits of the SHA-256 of the identity's canonical JSON."""
    text = json.dumps(identity(config), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested values by dotted key, `{"model.hidden_size": 64, ...}`; a list becomes its JSON."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = json.dumps(value) if isinstance(value, list | tuple) else value
    return flat


def instantiate(node: Mapping[str, Any], path: str, **given: Any) -> Any:
    """The object that a checked `_target_` node describes; its own key `name` is left out."""
    build = partial(node, path, given=tuple(given))
    with blame(path):
        return build(**given)


def partial(node: Mapping[str, Any], path: str, given: Collection[str] = ()) -> functools.partial:
    """The node's `_target_` with the node's keys as keyword arguments, to be called with those in `given`."""
    from hydra.utils import instantiate as hydra_instantiate

    node = _without_name(node)
    check_call(node, path, given)
    with blame(path):
        deferred = hydra_instantiate({**node, "_partial_": True, "_convert_": "all"})
    return functools.partial(deferred.func, *deferred.args, **deferred.keywords)


@contextlib.contextmanager
def blame(path: str) -> Iterator[None]:
    """Rewords a ValueError of a constructor as a `UserError` that names the key it came from."""
    from hydra.errors import InstantiationException

    try:
        yield
    except InstantiationException as error:
        if isinstance(error.__cause__, ValueError):
            raise UserError(f"{path}: {error.__cause__}") from error
        if error.__cause__ is not None and not isinstance(error.__cause__, InstantiationException):
            raise error.__cause__ from None
        raise UserError(f"{path}: {error}") from error
    except ValueError as error:
        raise UserError(f"{path}: {error}") from error


def check_call(node: Mapping[str, Any], path: str, given: Collection[str] = ()) -> None:
    """Checks that a node's `_target_` can be imported, and takes the node's keys and their values.

    Args:
        node: `_target_` and its keyword arguments.
        path: the node's dotted key, for messages.
        given: arguments that are passed when it is called, so that the node must not hold them.
    """
    target = _locate(node.get("_target_"), f"{path}._target_")
    name = node["_target_"]
    parameters = _parameters(target)
    if parameters is None:
        return
    positional = len(node.get("_args_", ()))
    keywords = {
        parameter.name: parameter
        for i, parameter in enumerate(parameters)
        if parameter.kind in (parameter.KEYWORD_ONLY, parameter.POSITIONAL_OR_KEYWORD) and i >= positional
    }
    takes_any = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters)
    missing = [key for key in given if key not in keywords]
    if missing and not takes_any:
        raise UserError(
            f"{path}._target_: {name} cannot serve here: it is called with {', '.join(given)}, "
            f"and takes no {' and no '.join(missing)}"
        )
    own = [key for key in keywords if key not in given]
    for key, value in node.items():
        if key in HYDRA_KEYS:
            continue
        if key in given:
            raise UserError(f"{path}.{key}: set by rnnbench itself; {name} takes {_listed(own)} here")
        if key in keywords:
            check_value(value, keywords[key].annotation, f"{path}.{key}")
        elif takes_any:
            check_value(value, Any, f"{path}.{key}")
        else:
            raise UserError(f"{path}.{key}: unknown key; {name} takes {_listed(own)}{did_you_mean(key, own)}")
    if not node.get("_partial_", False):
        for key in own:
            if keywords[key].default is inspect.Parameter.empty and key not in node:
                raise UserError(f"{path}.{key}: missing; {name} needs it")


def check_value(value: Any, hint: Any, path: str) -> None:
    """Checks a plain value against an annotation; what cannot be judged from plain values is let through."""
    if isinstance(value, Mapping) and "_target_" in value:
        check_call(value, path)
    elif _contains_target(value):
        items = value.items() if isinstance(value, Mapping) else enumerate(value)
        for key, item in items:
            check_value(item, Any, f"{path}.{key}")
    elif not _fits(value, hint):
        raise UserError(f"{path}: expected {_in_words(hint)}, got {_shown(value)}")


def did_you_mean(word: str, options: Iterable[str]) -> str:
    """`. Did you mean x?`, or nothing where no option comes near the word."""
    near = difflib.get_close_matches(word, list(options), n=2)
    if not near:
        # A short name for a long one: lr for learning_rate.
        near = [option for option in options if word and word == "".join(part[:1] for part in option.split("_"))]
    return f". Did you mean {' or '.join(near)}?" if near else ""


def config_error(error: OmegaConfBaseException) -> str:
    """What was expected, what came and what is allowed, of an error of OmegaConf's."""
    path = error.full_key or str(error.key or "")
    if isinstance(error, ValidationError):
        hint = error.ref_type if error.ref_type is not None else Any
        parent = error.parent_node
        if parent is not None and dataclasses.is_dataclass(error.object_type):
            hint = typing.get_type_hints(error.object_type).get(error.key, hint)
        return f"{path}: expected {_in_words(hint)}, got {_shown(error.value)}"
    text = str(error.msg or error).splitlines()[0]
    if isinstance(error, MissingMandatoryValue):
        return f"{path}: a value is missing"
    if found := re.match(r"Interpolation key '(.*)' not found", text):
        return f"{path}: ${{{found[1]}}} refers to {found[1]}, which does not exist"
    if isinstance(error, KeyError | AttributeError) and error.parent_node is not None:
        parent = error.parent_node
        options = [str(key) for key in parent if key not in ("_target_", "hydra")]
        where, _, key = path.rpartition(".")
        more = f" (+{path}=... adds an argument of {parent['_target_']})" if "_target_" in parent else ""
        return f"{path}: unknown key; {where or 'a run'} has {_listed(options)}{more}{did_you_mean(key, options)}"
    return f"{path}: {text}" if path else text


def _without_name(node: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in node.items() if key != "name"}


def _listed(names: Collection[str]) -> str:
    return ", ".join(names) or "nothing"


def _locate(target: Any, path: str) -> Any:
    """The object of a dotted name, e.g. `optax.adam`."""
    if not isinstance(target, str) or "." not in target.strip("."):
        raise UserError(
            f"{path}: expected the dotted name of a class or function, such as optax.adam, got {_shown(target)}"
        )
    parts = target.split(".")
    for i in range(len(parts) - 1, 0, -1):
        name = ".".join(parts[:i])
        try:
            found = importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name is None or not f"{name}.".startswith(f"{error.name}."):
                raise UserError(f"{path}: {name} needs the package {error.name}, which is not installed") from error
            continue
        for attribute in parts[i:]:
            if not hasattr(found, attribute):
                public = [option for option in dir(found) if not option.startswith("_")]
                raise UserError(f"{path}: {name} has no {attribute}{did_you_mean(attribute, public)}")
            found = getattr(found, attribute)
            name = f"{name}.{attribute}"
        if not callable(found):
            raise UserError(f"{path}: expected a class or function, got {target}, a {type(found).__name__}")
        return found
    raise UserError(
        f"{path}: cannot import {target}: there is no module {parts[0]} "
        "in the installed packages, the current folder or PYTHONPATH"
    )


def _parameters(target: Any) -> list[inspect.Parameter] | None:
    """Parameters of a class or function, with annotations evaluated where they can be; None: not to be known."""
    # A metaclass may hide a class's own parameters (flax.nnx.Module's does): ask the constructor.
    function = target.__init__ if isinstance(target, type) else target
    for eval_str in (True, False):
        # The names of an annotation may be imported for type checkers only.
        with contextlib.suppress(NameError, AttributeError, TypeError, ValueError):
            parameters = list(inspect.signature(function, eval_str=eval_str).parameters.values())
            return parameters[1:] if isinstance(target, type) else parameters
    return None


WORDS = {
    "a number": 0.5,
    "an integer": 1,
    "true or false": True,
    "a string": "text",
    "keys and values": {},
    "a list": [],
    "null": None,
}
"""One of each kind of value that a configuration can hold: the first that fits an annotation describes it."""


def _bearable(value: Any, hint: Any) -> bool:
    from beartype import BeartypeConf
    from beartype.door import is_bearable

    with warnings.catch_warnings():
        # Remarks on the style of other people's annotations are not for the user.
        warnings.simplefilter("ignore")
        # The numeric tower: an int is good where a float is wanted.
        return is_bearable(value, hint, conf=BeartypeConf(is_pep484_tower=True))


def _alternatives(hint: Any) -> tuple[Any, ...]:
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return tuple(part for argument in typing.get_args(hint) for part in _alternatives(argument))
    return (hint,)


def _fits(value: Any, hint: Any) -> bool:
    if hint is inspect.Parameter.empty or hint is Any or isinstance(hint, str):
        return True
    alternatives = _alternatives(hint)
    if isinstance(value, bool) and bool not in alternatives and {int, float} & set(alternatives):
        return False
    try:
        fits = _bearable(value, hint) or (isinstance(value, list) and _bearable(tuple(value), hint))
        return fits or not (isinstance(value, str) or _judgeable(hint))
    except Exception:
        # beartype cannot check every annotation, and says so by many kinds of errors.
        return True


def _judgeable(hint: Any) -> bool:
    """Whether some plain value fits: an annotation that none fits says nothing about plain values."""
    literals = [literal for part in _alternatives(hint) for literal in typing.get_args(part)]
    return any(_bearable(value, hint) for value in (*WORDS.values(), (), *literals))


def _in_words(hint: Any) -> str:
    """An annotation in words: `a number or null`."""
    words = []
    for part in _alternatives(hint):
        if typing.get_origin(part) is typing.Literal:
            words.append("one of " + ", ".join(_shown(option) for option in typing.get_args(part)))
        elif isinstance(part, type) and dataclasses.is_dataclass(part):
            words.append("the keys " + ", ".join(field.name for field in dataclasses.fields(part)))
        else:
            with contextlib.suppress(Exception):
                words += [word for word, value in WORDS.items() if _bearable(value, part)][:1]
    if "a number" in words:
        words = [word for word in words if word not in ("an integer", "true or false")]
    return " or ".join(dict.fromkeys(words)) or f"a {getattr(hint, '__name__', hint)} (as a node with _target_)"


def _shown(value: Any) -> str:
    """A value as it is written in YAML."""
    return json.dumps(value) if value is None or isinstance(value, bool) else repr(value)


def _contains_target(value: Any) -> bool:
    if isinstance(value, Mapping):
        return "_target_" in value or any(map(_contains_target, value.values()))
    return isinstance(value, list | tuple) and any(map(_contains_target, value))
