"""What is declared about a configuration key besides its type and default: its help, its limits and its roles."""

import copy
import dataclasses
import typing
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple


@dataclasses.dataclass(frozen=True)
class Declaration:
    """What `key` stores in the metadata of a dataclass field.

    Attributes:
        help: what the key means, in a few words.
        least: the smallest value allowed.
        above: an exclusive lower bound.
        below: an exclusive upper bound.
        choices: the values allowed; for a list, the items allowed.
        foldable: whether the key may differ between the runs of one population.
        identity: whether the key is part of the run's identity.
        added: whether the key came when runs had been recorded without it. Their identity stays the same: the default
            of such a key is no part of it.
        described: whether the runs table and loggers say the key's value.
        compiled: whether another value requires another compiled program.
        recorded: whether the configuration in a job's folder contains the key.
    """

    help: str
    least: int | None = None
    above: int | None = None
    below: int | None = None
    choices: tuple[str, ...] = ()
    foldable: bool = False
    identity: bool = True
    added: bool = False
    described: bool = True
    compiled: bool = True
    recorded: bool = True

    def limits(self) -> list[str]:
        """Returns the limits in words."""
        return [words for words, _ in self._limits()]

    def broken_limit(self, value: Any) -> str | None:
        """Returns the first limit that a value breaks, in words, or None.

        The value None breaks no limit: it only occurs where the type allows it.
        """
        return next((words for words, allows in self._limits() if value is not None and not allows(value)), None)

    def _limits(self) -> Iterator[tuple[str, Callable[[Any], bool]]]:
        least, above, below, choices = self.least, self.above, self.below, self.choices
        if least is not None:
            yield f"{least} or more", lambda value: value >= least
        if above is not None:
            yield f"more than {above}", lambda value: value > above
        if below is not None:
            yield f"less than {below}", lambda value: value < below
        if choices:
            yield (
                f"{'one of ' if len(choices) > 1 else ''}{', '.join(choices)}",
                lambda value: set(value if isinstance(value, list) else [value]) <= set(choices),
            )


def key(
    default: Any,
    *,
    help: str,
    identity: bool = True,
    described: bool | None = None,
    compiled: bool | None = None,
    **declared: Any,
) -> Any:
    """Returns a dataclass field for a key of the configuration.

    Args:
        default: the default value; a list or dictionary is copied.
        help: see `Declaration`.
        identity: see `Declaration`.
        described: see `Declaration`; by default the same as `identity`.
        compiled: see `Declaration`; by default the same as `identity`.
        declared: the other attributes of `Declaration`.
    """
    described = identity if described is None else described
    compiled = identity if compiled is None else compiled
    declaration = Declaration(help=help, identity=identity, described=described, compiled=compiled, **declared)
    metadata = {"declaration": declaration}
    if isinstance(default, list | dict):
        return dataclasses.field(default_factory=lambda: copy.deepcopy(default), metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


class Key(NamedTuple):
    """A key of a section or of its subsections.

    Attributes:
        path: the dotted name.
        hint: the type.
        default: the default value.
        declared: everything else that is declared about it.
    """

    path: str
    hint: Any
    default: Any
    declared: Declaration


def keys(section: type, prefix: str = "") -> Iterator[Key]:
    """Yields all keys of a dataclass and of its nested dataclasses, in order."""
    hints = typing.get_type_hints(section)
    for field in dataclasses.fields(section):
        path, hint = f"{prefix}{field.name}", hints[field.name]
        if dataclasses.is_dataclass(hint):
            yield from keys(typing.cast(type, hint), f"{path}.")
        else:
            yield Key(path, hint, _default(field), field.metadata["declaration"])


def _default(field: dataclasses.Field[Any]) -> Any:
    made = field.default_factory
    return field.default if made is dataclasses.MISSING else made()


def select(section: Any, wanted: Callable[[Declaration, bool], bool]) -> dict[str, Any]:
    """Returns the values of the wanted keys as nested dictionaries, without sections that have none.

    Args:
        section: a dataclass.
        wanted: returns whether a key is wanted, from what is declared about it and whether it has its default.
    """
    selected: dict[str, Any] = {}
    for field in dataclasses.fields(section):
        value = getattr(section, field.name)
        if dataclasses.is_dataclass(value):
            if inner := select(value, wanted):
                selected[field.name] = inner
        elif wanted(field.metadata["declaration"], value == _default(field)):
            selected[field.name] = copy.deepcopy(value)
    return selected
