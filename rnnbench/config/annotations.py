"""Plain values against annotations: whether a value fits, in which type, and what would fit, in words."""

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
"""One of each kind of value that a configuration can hold: the first that fits an annotation describes it."""


FOLDABLE = "foldable"
"""Marks an argument in which the members of a population may differ: `Annotated[float | Array, FOLDABLE]`.

No shape and no Python decision may depend on it, for it arrives traced where it differs.
"""


_OF_ITEMS = (abc.Sequence, abc.Collection, abc.Iterable)


def fits(value: Any, hint: Any) -> bool:
    """Whether a value of a configuration is good for an annotation; True where that cannot be told."""
    if hint is inspect.Parameter.empty or hint is Any or isinstance(hint, str):
        return True
    alternatives = _alternatives(hint)
    if isinstance(value, bool) and bool not in alternatives and {int, float} & set(alternatives):
        return False
    try:
        return _admits(hint, value) or not (isinstance(value, str) or takes_function(hint) or _judgeable(hint))
    except Exception:
        # beartype cannot check every annotation, and says so by many kinds of errors.
        return True


def in_words(hint: Any) -> str:
    """An annotation in words: `a number or null`."""
    words = []
    for part in _alternatives(hint):
        if typing.get_origin(part) is typing.Literal:
            words.append("one of " + ", ".join(as_yaml(option) for option in typing.get_args(part)))
        elif isinstance(part, type) and dataclasses.is_dataclass(part):
            words.append("the keys " + ", ".join(field.name for field in dataclasses.fields(part)))
        elif _is_function(part):
            words.append("the dotted name of a function")
        else:
            with contextlib.suppress(Exception):
                words += [word for word, value in WORDS.items() if _bearable(value, part)][:1]
    if "a number" in words:
        words = [word for word in words if word not in ("an integer", "true or false")]
    return " or ".join(dict.fromkeys(words)) or f"a {getattr(hint, '__name__', hint)} (as a node with _target_)"


def in_type(value: Any, hint: Any) -> Any:
    """A value with its integers as floats, if that is what the annotation takes: 1 and 1.0 are the same number there.

    What takes any text as well says nothing about numbers, so they stay as they are.
    """
    floats = _with_integers_as(value, float)
    try:
        says_float = _admits(hint, floats) and not _admits(hint, _with_integers_as(value, str))
    except Exception:
        return value
    return floats if says_float else value


def takes_function(hint: Any) -> bool:
    """Whether an annotation takes a function, and no text that could be mistaken for its name."""
    functions = [part for part in _alternatives(hint) if _is_function(part)]
    others = [part for part in _alternatives(hint) if part not in functions]
    with contextlib.suppress(Exception):
        return bool(functions) and not any(_admits(part, "text") for part in others)
    return False


def returns_function(function: Any, hint: Any) -> bool:
    """Whether a function makes functions, where the annotation wants one that makes something else."""
    wanted = {typing.get_args(part)[-1] for part in _alternatives(hint) if _is_function(part) and typing.get_args(part)}
    with contextlib.suppress(NameError, AttributeError, TypeError, ValueError):
        made = inspect.signature(function, eval_str=True).return_annotation
        return _is_function(made) and not any(map(_is_function, wanted))
    return False


def hint_of_items(hint: Any) -> Any:
    """The annotation of the values of a mapping, where an annotation takes mappings of one kind; else None."""
    found = [part for part in _alternatives(hint) if typing.get_origin(part) in (abc.Mapping, dict)]
    return typing.get_args(found[0])[1] if len(found) == 1 else None


def is_foldable(hint: Any) -> bool:
    """Whether an annotation is marked `FOLDABLE`."""
    return typing.get_origin(hint) is typing.Annotated and FOLDABLE in typing.get_args(hint)[1:]


def is_number(value: Any) -> typing.TypeGuard[float]:
    """Whether a value is a number; to Python, true and false are, too."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def as_yaml(value: Any) -> str:
    """A value as it is written in YAML."""
    return json.dumps(value) if value is None or isinstance(value, bool) else repr(value)


def _admits(hint: Any, value: Any) -> bool:
    as_tuple = tuple(value) if isinstance(value, list) else value  # YAML has lists alone
    return any(_takes(part, value) or _takes(part, as_tuple) for part in _alternatives(hint))


def _takes(part: Any, value: Any) -> bool:
    """Whether a value fits with all its items: of a sequence beartype looks at one, which it draws at random."""
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
    """Whether a part of an annotation is `Callable`, or a protocol of functions."""
    is_protocol = getattr(part, "_is_protocol", False) and "__call__" in vars(part)
    return is_protocol or abc.Callable in (part, typing.get_origin(part))


def _bearable(value: Any, hint: Any) -> bool:
    if isinstance(value, str) and typing.get_origin(hint) in _OF_ITEMS:
        return False  # to Python, a word is a sequence of letters
    from beartype import BeartypeConf
    from beartype.door import is_bearable

    with warnings.catch_warnings():
        # Remarks on the style of other people's annotations are not for the user.
        warnings.simplefilter("ignore")
        # The numeric tower: an int is good where a float is wanted.
        return is_bearable(value, hint, conf=BeartypeConf(is_pep484_tower=True))


def _alternatives(hint: Any) -> tuple[Any, ...]:
    if typing.get_origin(hint) is typing.Annotated:
        return _alternatives(typing.get_args(hint)[0])
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return tuple(part for argument in typing.get_args(hint) for part in _alternatives(argument))
    return (hint,)


def _judgeable(hint: Any) -> bool:
    """Whether some plain value fits: an annotation that none fits says nothing about plain values."""
    literals = [literal for part in _alternatives(hint) for literal in typing.get_args(part)]
    return any(_bearable(value, hint) for value in (*WORDS.values(), (), *literals))
