"""Gates: how a cell declares them, and how its step receives them."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

from jaxtyping import Array, Float

from rnnbench.cells.activations import Activation


@dataclasses.dataclass(frozen=True)
class Gate:
    """A gate, as a cell declares it: f(x W + b + h U).

    Attributes:
        activation: f.
        recurrent: whether the gate sees the hidden state h. If not, it has no U and is f(x W + b).
        deferred: whether the step activates the gate itself. The step then receives the gate as a `Drive`, which
            keeps its two parts separate; it receives any other gate as an activated array.
        recurrent_bias: whether `Drive.from_state` adds a bias of its own.

    Raises:
        TypeError: `activation` is not a function.
        ValueError: `recurrent_bias` is set for a gate that has no `Drive.from_state`.
    """

    activation: Activation
    _: dataclasses.KW_ONLY
    recurrent: bool = True
    deferred: bool = False
    recurrent_bias: bool = False

    def __post_init__(self) -> None:
        if not callable(self.activation):
            raise TypeError(f"activation: expected a function of an array, got {self.activation!r}")
        if self.recurrent_bias and not (self.recurrent and self.deferred):
            raise ValueError("recurrent_bias: only a recurrent gate that is deferred has one")


class Drive:
    """The two parts of a deferred gate's pre-activation.

    A step combines them and activates the result, for example `n.activate(n.from_input + n.from_state(h))`.

    Attributes:
        from_input: `x W + b`, `(*batch, gate_features)`.
        value: the last result of `activate`, or None before its first call.
    """

    def __init__(
        self, name: str, from_input: Array, project: Callable[[Array], Array] | None, activation: Activation, width: int
    ):
        """Stores the parts.

        Args:
            name: the gate's name.
            from_input: `x W + b`.
            project: maps v to `v U` plus the recurrent bias; None for a gate that is not recurrent.
            activation: the gate's activation.
            width: the width of v.
        """
        self.from_input = from_input
        self.value: Array | None = None
        self._name, self._project, self._activation, self._width = name, project, activation, width

    def from_state(self, state: Float[Array, "*batch hidden"]) -> Float[Array, "*batch gate"]:
        """Returns `v U` for a state v as wide as h, plus the gate's recurrent bias if it has one.

        Raises:
            TypeError: the gate is not recurrent.
            ValueError: v is not as wide as h.
        """
        if self._project is None:
            raise TypeError(f"gate {self._name!r} is declared with recurrent=False: it has no U for from_state")
        if state.shape[-1] != self._width:
            raise ValueError(
                f"gate {self._name!r}: from_state takes a state as wide as h, {self._width}, got shape {state.shape}"
            )
        return self._project(state)

    def activate(self, z: Float[Array, "*batch gate"]) -> Float[Array, "*batch gate"]:
        """Returns the gate's activation of z."""
        self.value = self._activation(z)
        return self.value

    @property
    def advice(self) -> str:
        """The message for an author who uses the drive as if it were an array."""
        parts = "n.from_input + n.from_state(h)" if self._project else "n.from_input"
        return (
            f"gate {self._name!r} is deferred, so the step must activate it before it is used: "
            f"n.activate({parts}) with n = gates.{self._name}"
        )

    def _no_array(self, *_: Any) -> NoReturn:
        raise RuntimeError(self.advice)  # JAX would replace the message of a TypeError

    def __getattr__(self, name: str) -> NoReturn:
        # Without the check for "_", copying a drive (which looks up attributes before any are set) would never end.
        raise AttributeError(name if name.startswith("_") else f"{self.advice}; a drive has no {name!r}")

    # JAX looks for this attribute in every object that it is given as an array.
    __jax_array__ = property(_no_array)
    __neg__ = __getitem__ = __iter__ = _no_array
    __add__ = __sub__ = __mul__ = __truediv__ = __matmul__ = __pow__ = _no_array
    __radd__ = __rsub__ = __rmul__ = __rtruediv__ = __rmatmul__ = __rpow__ = _no_array
    __lt__ = __le__ = __gt__ = __ge__ = _no_array


class Gates:
    """The gates of one step, as attributes with the gates' names: activated arrays, or a `Drive` for a deferred gate.

    `GatedCell.observe` returns the activated values by name; `GatedCell.retention` takes them as `Gates(values)`.
    """

    def __init__(self, gates: Mapping[str, Array | Drive]):
        self._gates = gates

    def __getattr__(self, name: str) -> Any:
        gates = vars(self).get("_gates", {})
        if name in gates:
            return gates[name]
        from rnnbench.config.messages import did_you_mean  # imports Hydra, which cells do not need

        raise AttributeError(f"there is no gate {name!r}; the gates are {', '.join(gates)}{did_you_mean(name, gates)}")

    def __dir__(self) -> list[str]:
        return list(self._gates)
