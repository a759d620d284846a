"""What is declared about a configuration key beside its type and its default: its help, its limits, its roles."""

import copy
import dataclasses
import typing
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple


@dataclasses.dataclass(frozen=True)
class Declaration:
    """What `key` notes in the metadata of a dataclass field.

    Attributes:
        help: what the key means, in a few words.
        least: the smallest value.
        above: a bound that a value must exceed.
        below: a bound that a value must stay under.
        choices: the values allowed; of a list, its items.
        foldable: whether the runs of one population may differ in it.
        identity: whether it is part of what makes a run the run it is.
        compiled: whether another value is another compiled program.
        recorded: whether the configuration in a job's folder holds it.
    """

    help: str
    least: int | None = None
    above: int | None = None
    below: int | None = None
    choices: tuple[str, ...] = ()
    foldable: bool = False
    identity: bool = True
    compiled: bool = True
    recorded: bool = True

    def limits(self) -> list[str]:
        """The limits in words."""
        return [words for words, _ in self._limits()]

    def broken_limit(self, value: Any) -> str | None:
        """The first limit that a value breaks, in words; None, which only stands where it is allowed, breaks none."""
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


def key(default: Any, *, help: str, identity: bool = True, compiled: bool | None = None, **declared: Any) -> Any:
    """A dataclass field that is a key of the configuration.

    Args:
        default: its default; a list or dictionary is copied.
        help: see `Declaration`, as are those that follow.
        identity: see there.
        compiled: see there; by default, what is part of the identity is part of the program.
        declared: the others.
    """
    compiled = identity if compiled is None else compiled
    metadata = {"declaration": Declaration(help=help, identity=identity, compiled=compiled, **declared)}
    if isinstance(default, list | dict):
        return dataclasses.field(default_factory=lambda: copy.deepcopy(default), metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


class Key(NamedTuple):
    """A key of a section, or below it.

    Attributes:
        path: its dotted name.
        hint: its type.
        default: its default.
        declared: the rest.
    """

    path: str
    hint: Any
    default: Any
    declared: Declaration


def keys(section: type, prefix: str = "") -> Iterator[Key]:
    """All keys of a dataclass and of the dataclasses in it, in their order."""
    hints = typing.get_type_hints(section)
    for field in dataclasses.fields(section):
        path, hint = f"{prefix}{field.name}", hints[field.name]
        if dataclasses.is_dataclass(hint):
            yield from keys(typing.cast(type, hint), f"{path}.")
        else:
            made = field.default_factory
            default = field.default if made is dataclasses.MISSING else made()
            yield Key(path, hint, default, field.metadata["declaration"])


def select(section: Any, wanted: Callable[[Declaration], bool]) -> dict[str, Any]:
    """The values of the keys that are wanted, as nested dictionaries; a section without any is left out."""
    selected: dict[str, Any] = {}
    for field in dataclasses.fields(section):
        value = getattr(section, field.name)
        if dataclasses.is_dataclass(value):
            if inner := select(value, wanted):
                selected[field.name] = inner
        elif wanted(field.metadata["declaration"]):
            selected[field.name] = copy.deepcopy(value)
    return selected
