"""Checks plain values against annotations: whether a value fits, as which type, and what would fit, in words."""

import contextlib
import dataclasses
import inspect
import json
import types
import typing
import warnings
from collections import abc
from typing import Any

WORDS = {
    "a number": 0.5,
    "an integer": 1,
    "true or false": True,
    "a string": "text",
    "keys and values": {},
    "a list": [],
    "null": None,
}
"""An example of each kind of value that a configuration can hold. The first that fits an annotation describes it."""


FOLDABLE = "foldable"
"""Marks an argument that may differ between the members of a population: `Annotated[float | Array, FOLDABLE]`.

No shape and no Python branch may depend on it, because it is traced if it differs.
"""


_OF_ITEMS = (abc.Sequence, abc.Collection, abc.Iterable)


def fits(value: Any, hint: Any) -> bool:
    """Returns whether a configuration value fits an annotation, and True if that cannot be decided."""
    if hint is inspect.Parameter.empty or hint is Any or isinstance(hint, str):
        return True
    alternatives = _alternatives(hint)
    if isinstance(value, bool) and bool not in alternatives and {int, float} & set(alternatives):
        return False
    try:
        return _admits(hint, value) or not (isinstance(value, str) or takes_function(hint) or _judgeable(hint))
    except Exception:
        # beartype cannot check every annotation, and raises many kinds of errors when it cannot.
        return True


def in_words(hint: Any) -> str:
    """Returns an annotation in words, such as `a number or null`."""
    words = []
    for part in _alternatives(hint):
        if typing.get_origin(part) is typing.Literal:
            words.append("one of " + ", ".join(as_yaml(option) for option in typing.get_args(part)))
        elif isinstance(part, type) and dataclasses.is_dataclass(part):
            words.append("the keys " + ", ".join(field.name for field in dataclasses.fields(part)))
        elif _is_function(part):
            words.append("the dotted name of a function")
        elif typing.get_origin(part) in (list, *_OF_ITEMS):
            words.append(f"a list, each item {in_words(typing.get_args(part)[0])}")
        else:
            with contextlib.suppress(Exception):
                words += [word for word, value in WORDS.items() if _bearable(value, part)][:1]
    if "a number" in words:
        words = [word for word in words if word not in ("an integer", "true or false")]
    return " or ".join(dict.fromkeys(words)) or f"a {getattr(hint, '__name__', hint)} (as a node with _target_)"


def in_type(value: Any, hint: Any) -> Any:
    """Returns a value with its integers as floats if the annotation takes floats: 1 and 1.0 are then the same number.

    An annotation that also takes any text says nothing about numbers, so the value stays as it is.
    """
    floats = _with_integers_as(value, float)
    try:
        says_float = _admits(hint, floats) and not _admits(hint, _with_integers_as(value, str))
    except Exception:
        return value
    return floats if says_float else value


def takes_function(hint: Any) -> bool:
    """Returns whether an annotation takes a function, and no text that could be mistaken for a function's name."""
    functions = [part for part in _alternatives(hint) if _is_function(part)]
    others = [part for part in _alternatives(hint) if part not in functions]
    with contextlib.suppress(Exception):
        return bool(functions) and not any(_admits(part, "text") for part in others)
    return False


def returns_function(function: Any, hint: Any) -> bool:
    """Returns whether a function returns a function although the annotation wants one that returns something else."""
    wanted = {typing.get_args(part)[-1] for part in _alternatives(hint) if _is_function(part) and typing.get_args(part)}
    with contextlib.suppress(NameError, AttributeError, TypeError, ValueError):
        made = inspect.signature(function, eval_str=True).return_annotation
        return _is_function(made) and not any(map(_is_function, wanted))
    return False


def hint_of_items(hint: Any) -> Any:
    """Returns the annotation of a mapping's values if `hint` takes exactly one kind of mapping, and None otherwise."""
    found = [part for part in _alternatives(hint) if typing.get_origin(part) in (abc.Mapping, dict)]
    return typing.get_args(found[0])[1] if len(found) == 1 else None


def is_foldable(hint: Any) -> bool:
    """Returns whether an annotation is marked `FOLDABLE`."""
    return typing.get_origin(hint) is typing.Annotated and FOLDABLE in typing.get_args(hint)[1:]


def is_number(value: Any) -> typing.TypeGuard[float]:
    """Returns whether a value is a number. Python counts true and false as numbers; this function does not."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def as_yaml(value: Any) -> str:
    """Returns a value as YAML writes it."""
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(as_yaml, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{key}: {as_yaml(item)}' for key, item in value.items())}}}"
    return json.dumps(value) if value is None or isinstance(value, bool) else repr(value)


def _admits(hint: Any, value: Any) -> bool:
    as_tuple = tuple(value) if isinstance(value, list) else value  # YAML has lists but no tuples
    return any(_takes(part, value) or _takes(part, as_tuple) for part in _alternatives(hint))


def _takes(part: Any, value: Any) -> bool:
    """Returns whether a value fits with all its items. beartype itself checks only one random item."""
    has_places = typing.get_origin(part) is tuple and Ellipsis not in typing.get_args(part)
    items = value if isinstance(value, list | tuple) and not has_places else ()
    return _bearable(value, part) and all(_bearable(type(value)((item,)), part) for item in items)


def _with_integers_as(value: Any, kind: type) -> Any:
    if isinstance(value, list):
        return [_with_integers_as(item, kind) for item in value]
    if isinstance(value, dict):
        return {key: _with_integers_as(item, kind) for key, item in value.items()}
    return kind(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _is_function(part: Any) -> bool:
    """Returns whether a part of an annotation is `Callable` or a protocol for functions."""
    is_protocol = getattr(part, "_is_protocol", False) and "__call__" in vars(part)
    return is_protocol or abc.Callable in (part, typing.get_origin(part))


def _bearable(value: Any, hint: Any) -> bool:
    if isinstance(value, str) and typing.get_origin(hint) in _OF_ITEMS:
        return False  # Python treats a string as a sequence of letters
    from beartype import BeartypeConf
    from beartype.door import is_bearable

    with warnings.catch_warnings():
        # beartype's warnings about the style of other people's annotations do not concern the user.
        warnings.simplefilter("ignore")
        # The numeric tower: an int is accepted for a float.
        return is_bearable(value, hint, conf=BeartypeConf(is_pep484_tower=True))


def _alternatives(hint: Any) -> tuple[Any, ...]:
    if typing.get_origin(hint) is typing.Annotated:
        return _alternatives(typing.get_args(hint)[0])
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return tuple(part for argument in typing.get_args(hint) for part in _alternatives(argument))
    return (hint,)


def _judgeable(hint: Any) -> bool:
    """Returns whether any plain value fits. An annotation that no plain value fits says nothing about plain values."""
    literals = [literal for part in _alternatives(hint) for literal in typing.get_args(part)]
    return any(_bearable(value, hint) for value in (*WORDS.values(), (), *literals))
