"""Which code a recorded configuration may name. Whoever wrote the results chose it, so it is checked before it is used.

Nothing is imported that is not on the lists below or in a package that the reader allows. What is found must be what
its place needs: a cell, a task, an optimizer, or an argument of one of these. This is checked before it is called, also
in an allowed package.
"""

import contextlib
import inspect
from collections.abc import Iterable
from typing import Any

import jax
import optax
from flax import nnx

from rnnbench.config.annotations import hint_of_items, takes_function
from rnnbench.config.objects import Vetting
from rnnbench.errors import UserError
from rnnbench.tasks.base import Task

HARMLESS_MODULES = (
    "flax.nnx.initializers",
    "jax.nn",
    "jax.nn.initializers",
    "optax",
    "optax.contrib",
    "optax.schedules",
    "rnnbench.cells",
    "rnnbench.tasks",
)
"""Everything public in these only computes: it reads and writes no files, and starts no processes."""

_ACTIVATIONS = ("elu", "gelu", "relu", "selu", "sigmoid", "silu", "softplus", "softsign", "swish", "tanh")
_ELEMENTWISE = ("abs", "arctan", "cos", "exp", "maximum", "minimum", "sin", "sign", "square", "tanh")

HARMLESS_NAMES = {
    *(f"flax.nnx.{cell}" for cell in ("GRUCell", "LSTMCell", "OptimizedLSTMCell", "SimpleCell")),
    *(f"flax.nnx.{function}" for function in _ACTIVATIONS),
    *(f"jax.numpy.{function}" for function in _ELEMENTWISE),
}
"""So do these, but not all of their modules: `jax.numpy.load` reads pickles."""

OWN_PACKAGES = ("rnnbench.cells", "rnnbench.tasks", "rnnbench.training.decay", "rnnbench.training.schedules")


class Trust(Vetting):
    """Vets the names in a recorded configuration; `objects.vetted` takes it."""

    def __init__(self, source: object, allow: Iterable[str]) -> None:
        """Trusts rnnbench's own cells, tasks and schedules, the lists above, and what the reader names.

        Args:
            source: where the configuration was read, for messages.
            allow: packages or modules that the reader trusts.
        """
        self.source = source
        self.packages = (*OWN_PACKAGES, *allow)

    def name(self, name: str, path: str) -> None:
        """Checks a dotted name before anything is imported.

        Raises:
            UserError: the name is in a package that the reader did not allow.
        """
        if not _is_harmless(name) and not self._is_in_packages(name):
            package = name.partition(".")[0]
            raise UserError(
                f"{self.source}: {path} names {name}, and reading results runs only rnnbench's own cells and tasks and "
                f"common functions of JAX, Flax and optax; if you trust the package {package}, allow it: "
                f'--allow {package} on the command line, allow=("{package}",) in rnnbench.load_model'
            )

    def found(self, found: Any, name: str, path: str) -> None:
        """Checks what a name stands for, before it is called.

        Raises:
            UserError: it is not what this place of the configuration needs, or its package only imports it.
        """
        expected = {
            "model.cell._target_": (_is_subclass(found, nnx.RNNCellBase), "a subclass of flax.nnx.RNNCellBase"),
            "task._target_": (_is_subclass(found, Task), "a subclass of rnnbench.tasks.Task"),
            "optimizer._target_": (
                _is_subclass(_made_by(found), optax.GradientTransformation),
                "a function annotated to return an optax.GradientTransformation",
            ),
        }
        fits, words = expected.get(
            path,
            (
                _is_harmless(name) or _is_argument(_made_by(found)),
                "a function annotated to return an array, a function, or functions by name",
            ),
        )
        if not fits:
            raise UserError(f"{self.source}: {path}: expected {words}, got {name}, which is not called")
        if not _is_harmless(name) and not self._is_in_packages(f"{getattr(found, '__module__', '')}."):
            raise UserError(
                f"{self.source}: {path}: expected what is defined in the packages that are allowed, got {name}"
            )

    def _is_in_packages(self, name: str) -> bool:
        return any(name.startswith(f"{package}.") for package in self.packages)


def refuse_interpolations(values: Any, source: object) -> None:
    """Checks that no text in a recorded configuration would be replaced by something else when it is read.

    rnnbench records plain values only. An interpolation could turn a harmless value into a name after it was checked.

    Raises:
        UserError: there is such a text.
    """
    if isinstance(values, dict):
        for key, value in values.items():
            refuse_interpolations(key, source)
            refuse_interpolations(value, source)
    elif isinstance(values, list):
        for value in values:
            refuse_interpolations(value, source)
    elif isinstance(values, str) and "${" in values:
        raise UserError(f"{source}: expected plain values, as rnnbench records them, got {values!r}")


def _is_harmless(name: str) -> bool:
    module, _, attribute = name.rpartition(".")
    return name in HARMLESS_NAMES or (module in HARMLESS_MODULES and not attribute.startswith("_"))


def _is_subclass(found: Any, base: type) -> bool:
    return isinstance(found, type) and issubclass(found, base)


def _made_by(found: Any) -> Any:
    """Returns what calling this makes: a class itself, or what a function is annotated to return."""
    if isinstance(found, type):
        return found
    with contextlib.suppress(NameError, AttributeError, TypeError, ValueError):
        return inspect.signature(found, eval_str=True).return_annotation
    return inspect.Signature.empty


def _is_argument(made: Any) -> bool:
    """Returns whether this annotation is that of an array, a function, an optimizer, or of functions by name."""
    if made is inspect.Signature.empty:
        return False
    if takes_function(made) or takes_function(hint_of_items(made)):
        return True
    if isinstance(made, type) and any("__call__" in vars(base) for base in made.__mro__):
        return True
    kinds = (jax.Array, optax.GradientTransformation)
    return any(_is_subclass(getattr(made, "array_type", made), kind) for kind in kinds)
