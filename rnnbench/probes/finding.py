"""Finds probes: built-in ones by name, any other by the dotted name of its class."""

import functools
import importlib
import pkgutil
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rnnbench import probes
from rnnbench.config.messages import did_you_mean
from rnnbench.config.objects import instantiate, locate
from rnnbench.errors import UserError
from rnnbench.probes.base import Probe


@functools.cache
def built_in() -> dict[str, type[Probe]]:
    """Returns the built-in probes by name: every class in this folder that is a probe."""
    found = {}
    for module in pkgutil.iter_modules(probes.__path__):
        for value in vars(importlib.import_module(f"{probes.__name__}.{module.name}")).values():
            if isinstance(value, type) and issubclass(value, Probe) and value is not Probe:
                found[value.name] = value
    return dict(sorted(found.items()))


def make_probe(name: str, path: str, arguments: Mapping[str, Any] | None = None) -> Probe:
    """Returns a probe by its name.

    Args:
        name: one of `built_in`, or the dotted name of a class, such as `my_probes.EffectiveRank`.
        path: where the name comes from, for messages.
        arguments: of the probe's constructor.

    Raises:
        UserError: there is no such probe, or it does not accept the arguments.
    """
    known = built_in()
    if name not in known and "." not in name:
        raise UserError(
            f"{path}: expected one of {', '.join(known)}, or the dotted name of a class, got {name!r}"
            f"{did_you_mean(name, known)}"
        )
    target = f"{known[name].__module__}.{known[name].__qualname__}" if name in known else name
    if name not in known and not (isinstance(found := locate(name, path), type) and issubclass(found, Probe)):
        raise UserError(f"{path}: expected a subclass of rnnbench.probes.Probe, got {name}")
    probe = instantiate({"_target_": target, **(arguments or {})}, path)
    assert isinstance(probe, Probe)
    return probe


def drawers(names: Sequence[str] = (), path: str = "--probes") -> dict[str, list[Callable[..., Any]]]:
    """Returns the functions that draw each table, for the built-in probes and for others by dotted name.

    Raises:
        UserError: there is no such probe, or no such function.
    """
    found: dict[str, list[Callable[..., Any]]] = {}
    others = [type(make_probe(name, f"{path} {name}")) for name in names]
    for probe in [*built_in().values(), *others]:
        for table, figures in probe.figures.items():
            found[table] = [locate(figure, f"{probe.name}.figures") for figure in figures]
    return found
