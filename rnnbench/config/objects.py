"""Builds objects from `_target_`, the dotted name of a class or function, after checking its keyword arguments."""

import abc
import contextlib
import functools
import importlib
import inspect
import re
import textwrap
from collections.abc import Collection, Iterator, Mapping
from contextvars import ContextVar
from typing import Any, Literal

from rnnbench.config.annotations import (
    as_yaml,
    fits,
    hint_of_items,
    in_type,
    in_words,
    is_foldable,
    is_number,
    returns_function,
    takes_function,
)
from rnnbench.config.messages import did_you_mean, listed, refused_switch, stopped_by, unknown_key
from rnnbench.errors import UserError

HYDRA_KEYS: Mapping[str, Any] = {
    "_target_": str,
    "_args_": list,
    "_recursive_": bool,
    "_partial_": bool,
    "_convert_": Literal["none", "partial", "object", "all"],
}
"""The keys of a node that Hydra itself reads, and what each takes."""

MAX_SAID = 400
"""Maximum number of characters of a message in other people's words."""

SET_HERE = ("_partial_", "_convert_")
"""The keys of Hydra that `partial` sets for the node that it builds; nodes inside it may have their own."""


class Vetting(abc.ABC):
    """Decides which names may be used. Both methods raise a `UserError` to refuse one."""

    @abc.abstractmethod
    def name(self, name: str, path: str) -> None:
        """Checks a dotted name before anything is imported."""

    @abc.abstractmethod
    def found(self, found: Any, name: str, path: str) -> None:
        """Checks what the name stands for before it is called."""


_vetting: ContextVar[Vetting | None] = ContextVar("vetting", default=None)


@contextlib.contextmanager
def vetted(vetting: Vetting) -> Iterator[None]:
    """Vets every name that is looked up in the block; without it, the user's own configuration may name anything."""
    token = _vetting.set(vetting)
    try:
        yield
    finally:
        _vetting.reset(token)


def instantiate(node: Mapping[str, Any], path: str) -> Any:
    """Returns the object that a `_target_` node describes. The node's key `name` is not passed on."""
    build = partial(node, path)
    with blame(path):
        return build()


def partial(node: Mapping[str, Any], path: str, given: Collection[str] = ()) -> functools.partial:
    """Returns the node's `_target_` with its keys as keyword arguments; the caller passes the arguments in `given`."""
    from hydra.utils import instantiate as hydra_instantiate

    node = _checked(without_name(node), path, given, located=True)
    with blame(path):
        deferred = hydra_instantiate({**node, "_partial_": True, "_convert_": "all"})
    return functools.partial(deferred.func, *deferred.args, **deferred.keywords)


@contextlib.contextmanager
def blame(path: str) -> Iterator[None]:
    """Turns an error of what a node names into a `UserError` that begins with the node's key.

    A constructor that raises ValueError speaks to the user and names its argument, as in `"length: expected ..."`;
    under `task`, that becomes `task.length`. Of any other error, the message gives the type and the first line.
    """
    from hydra.errors import InstantiationException

    try:
        yield
    except UserError:
        raise
    except (Exception, SystemExit) as error:
        cause: BaseException = error
        while isinstance(cause, InstantiationException) and cause.__cause__ is not None:
            cause = cause.__cause__
        if not isinstance(cause, ValueError | InstantiationException):
            raise UserError(f"{path}: {stopped_by(cause)}") from error
        said = textwrap.shorten(str(cause), MAX_SAID, placeholder=" ...")
        names_an_argument = re.match(r"[a-z][\w.]*: ", said)
        raise UserError(f"{path}.{said}" if names_an_argument else f"{path}: {said}") from error


def checked(node: Mapping[str, Any], path: str, given: Collection[str] = ()) -> dict[str, Any]:
    """Returns the node with its numbers in the types of the arguments: an integer becomes a float if one is expected.

    Args:
        node: `_target_` and its keyword arguments.
        path: the node's dotted key, for messages.
        given: the arguments that the caller passes later, which the node must not contain.

    Raises:
        UserError: `_target_` cannot be imported, or does not take the node's keys or values.
    """
    for key in SET_HERE:
        if key in node:
            raise UserError(f"{path}.{key}: set by rnnbench itself; leave it out")
    return _checked(node, path, given, located=False)


def _checked(node: Mapping[str, Any], path: str, given: Collection[str], located: bool) -> dict[str, Any]:
    """Does what `checked` does. If `located`, it also replaces a function's dotted name by a node that finds it."""
    target = locate(node.get("_target_"), f"{path}._target_")
    name = node["_target_"]
    for key, hint in HYDRA_KEYS.items():
        if key in node and not fits(node[key], hint):
            raise UserError(f"{path}.{key}: expected {in_words(hint)}, got {as_yaml(node[key])}")
    parameters = _parameters(target)
    result = dict(node)
    if "_args_" in node:
        result["_args_"] = [_checked_value(v, Any, f"{path}._args_.{i}", located) for i, v in enumerate(node["_args_"])]
    if parameters is None:
        others = {key: value for key, value in node.items() if key not in HYDRA_KEYS}
        return result | {key: _checked_value(value, Any, f"{path}.{key}", located) for key, value in others.items()}
    positional = len(node.get("_args_", ()))
    names = [parameter.name for parameter in parameters if parameter.kind is parameter.POSITIONAL_OR_KEYWORD]
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
            raise UserError(f"{path}.{key}: set by rnnbench itself; {name} takes {listed(own)} here")
        if key in names[:positional]:
            raise UserError(f"{path}.{key}: given twice, here and as item {names.index(key)} of {path}._args_")
        if key in keywords:
            parameter = keywords[key]
            result[key] = _checked_value(value, parameter.annotation, f"{path}.{key}", located)
            if isinstance(parameter.default, float):  # this says more than an annotation that takes anything
                result[key] = in_type(result[key], float)
        elif takes_any:
            result[key] = _checked_value(value, Any, f"{path}.{key}", located)
        else:
            raise UserError(unknown_key(f"{path}.{key}", f"{name} takes {listed(own)}", key, own))
    if not node.get("_partial_", False):
        for key in own:
            if keywords[key].default is inspect.Parameter.empty and key not in node:
                raise UserError(f"{path}.{key}: missing; {name} needs it")
    return result


def foldable_arguments(node: Mapping[str, Any], path: str) -> set[str]:
    """Returns the keys of a node that its `_target_` marks as foldable and whose values are numbers."""
    parameters = _parameters(locate(node.get("_target_"), f"{path}._target_")) or []
    marked = {parameter.name for parameter in parameters if is_foldable(parameter.annotation)}
    return {key for key, value in node.items() if key in marked and is_number(value)}


def fractional_arguments(node: Mapping[str, Any], path: str) -> set[str]:
    """Returns the keys of a node whose arguments take any number, and whose values are numbers or schedules of one.

    An argument that takes only integers is a size or a count. A program is compiled for each of its values.
    """
    parameters = _parameters(locate(node.get("_target_"), f"{path}._target_")) or []
    hints = {parameter.name: parameter.annotation for parameter in parameters if fits(0.5, parameter.annotation)}
    # What takes anything, such as optax's masks, may take a function for another purpose.
    schedules = {key for key, hint in hints.items() if takes_function(hint) and not fits("", hint)}
    return {key for key, value in node.items() if key in schedules or (key in hints and is_number(value))}


def changed_arguments(node: Mapping[str, Any], path: str) -> set[str]:
    """Returns the keys of a node whose values are not the defaults of the arguments."""
    parameters = _parameters(locate(node.get("_target_"), f"{path}._target_")) or []
    defaults = {parameter.name: parameter.default for parameter in parameters}
    own = {key: value for key, value in without_name(node).items() if key not in HYDRA_KEYS}
    return {key for key, value in own.items() if key not in defaults or defaults[key] != value}


def _checked_value(value: Any, hint: Any, path: str, located: bool) -> Any:
    """Returns a value in the type of its annotation. Values that cannot be checked are accepted."""
    if isinstance(value, Mapping):
        if "_target_" in value:
            return _checked(value, path, (), located)
        hint_of_item = hint_of_items(hint)
        if hint_of_item is not None or _contains_target(value):
            return {key: _checked_value(v, hint_of_item or Any, f"{path}.{key}", located) for key, v in value.items()}
    elif _contains_target(value):
        return [_checked_value(item, Any, f"{path}.{i}", located) for i, item in enumerate(value)]
    elif isinstance(value, str) and "." in value and takes_function(hint):
        if returns_function(locate(value, path), hint):
            raise UserError(f"{path}: {value} makes a function: expected what it makes, by {{_target_: {value}}}")
        return {"_target_": "hydra.utils.get_object", "path": value} if located else value
    if not fits(value, hint):
        quote = ""
        if is_number(value) and fits(str(value), hint):
            quote = f", a number; the text is written with quotes inside: '{path}=\"{value}\"'"
        raise UserError(f"{path}: expected {in_words(hint)}, got {as_yaml(value)}{quote}")
    return in_type(value, hint)


def without_name(node: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in node.items() if key != "name"}


def locate(target: Any, path: str) -> Any:
    """Returns the object with a dotted name, such as `optax.adam`."""
    if not isinstance(target, str) or "." not in target.strip("."):
        raise UserError(
            f"{path}: expected the dotted name of a class or function, such as optax.adam, got {as_yaml(target)}"
        )
    vetting = _vetting.get()
    if vetting is not None:
        vetting.name(target, path)
    parts = target.split(".")
    for i in range(len(parts) - 1, 0, -1):
        name = ".".join(parts[:i])
        try:
            found = importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name is None or not f"{name}.".startswith(f"{error.name}."):
                raise UserError(f"{path}: {name} needs the package {error.name}, which is not installed") from error
            continue
        except (Exception, SystemExit) as error:  # whatever the module does while it is imported
            said = refused_switch(error) or f"{path}: cannot import {name}: {stopped_by(error)}"
            raise UserError(said) from error
        for attribute in parts[i:]:
            if not hasattr(found, attribute):
                public = [option for option in dir(found) if not option.startswith("_")]
                raise UserError(f"{path}: {name} has no {attribute}{did_you_mean(attribute, public)}")
            found = getattr(found, attribute)
            name = f"{name}.{attribute}"
        if not callable(found):
            raise UserError(f"{path}: expected a class or function, got {target}, a {type(found).__name__}")
        if vetting is not None:
            vetting.found(found, target, path)
        return found
    raise UserError(
        f"{path}: cannot import {target}: there is no module {parts[0]} "
        "in the installed packages, the current folder or PYTHONPATH"
    )


def _parameters(target: Any) -> list[inspect.Parameter] | None:
    """Returns the parameters of a class or function, annotations evaluated if possible, or None if they are unknown."""
    if not isinstance(target, type):
        return _parameters_of_function(target)
    # A metaclass may hide a class's own parameters (flax.nnx.Module's does), so look at the constructors. We assume
    # that a constructor with **kwargs passes them to the constructor of its base class.
    constructors = [vars(base)["__init__"] for base in target.__mro__ if "__init__" in vars(base)]
    found: dict[str, inspect.Parameter] = {}
    for constructor in constructors[:-1] or constructors:  # that of `object` says nothing
        parameters = _parameters_of_function(constructor)
        if parameters is None:
            return None
        handed_on = [name for name, parameter in found.items() if parameter.kind is parameter.VAR_KEYWORD]
        for name in handed_on:
            del found[name]
        found |= {parameter.name: parameter for parameter in parameters[1:] if parameter.name not in found}
        if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
            break
    return sorted(found.values(), key=lambda parameter: parameter.kind)


def _parameters_of_function(function: Any) -> list[inspect.Parameter] | None:
    for eval_str in (True, False):
        # The names in an annotation may be imported only for type checkers.
        with contextlib.suppress(NameError, AttributeError, TypeError, ValueError):
            return list(inspect.signature(function, eval_str=eval_str).parameters.values())
    return None


def _contains_target(value: Any) -> bool:
    if isinstance(value, Mapping):
        return "_target_" in value or any(map(_contains_target, value.values()))
    return isinstance(value, list | tuple) and any(map(_contains_target, value))
