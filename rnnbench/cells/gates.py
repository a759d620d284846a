"""Gates: how a cell declares them, and as what they reach its step."""

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
        recurrent: whether the gate sees the hidden state h; where it does not, it has no U and is f(x W + b).
        deferred: whether the step activates the gate itself. It then reaches the step as a `Drive`, its two parts
            apart; any other gate reaches the step as an activated array.
        recurrent_bias: whether `Drive.from_state` adds a bias of its own.

    Raises:
        TypeError: `activation` is no function.
        ValueError: a gate that has no `Drive.from_state` asks for a bias in it.
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

    A step puts them together and activates them: `n.activate(n.from_input + n.from_state(h))`.

    Attributes:
        from_input: `x W + b`, `(*batch, gate_features)`.
        value: what `activate` last returned; None before.
    """

    def __init__(
        self, name: str, from_input: Array, project: Callable[[Array], Array] | None, activation: Activation, width: int
    ):
        """Holds the parts.

        Args:
            name: the gate's name.
            from_input: `x W + b`.
            project: v to `v U` and the recurrent bias; None for a gate that is not recurrent.
            activation: the gate's.
            width: of v.
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
        """What to tell an author who takes the drive for an array."""
        parts = "n.from_input + n.from_state(h)" if self._project else "n.from_input"
        return (
            f"gate {self._name!r} is deferred, so the step must activate it before it is used: "
            f"n.activate({parts}) with n = gates.{self._name}"
        )

    def _no_array(self, *_: Any) -> NoReturn:
        raise RuntimeError(self.advice)  # JAX would put words of its own in place of a TypeError's

    def __getattr__(self, name: str) -> NoReturn:
        # Without the guard, copying a drive (which asks for attributes before there are any) would never end.
        raise AttributeError(name if name.startswith("_") else f"{self.advice}; a drive has no {name!r}")

    # JAX looks for this attribute in whatever it is given for an array.
    __jax_array__ = property(_no_array)
    __neg__ = __getitem__ = __iter__ = _no_array
    __add__ = __sub__ = __mul__ = __truediv__ = __matmul__ = __pow__ = _no_array
    __radd__ = __rsub__ = __rmul__ = __rtruediv__ = __rmatmul__ = __rpow__ = _no_array
    __lt__ = __le__ = __gt__ = __ge__ = _no_array


class Gates:
    """The gates of one step, as attributes by their names: activated arrays, or a `Drive` if deferred.

    `GatedCell.observe` returns the activated values by name; `Gates(values)` is how `GatedCell.retention` takes them.
    """

    def __init__(self, gates: Mapping[str, Array | Drive]):
        self._gates = gates

    def __getattr__(self, name: str) -> Any:
        gates = vars(self).get("_gates", {})
        if name in gates:
            return gates[name]
        from rnnbench.config.messages import did_you_mean  # brings Hydra, which a cell does without

        raise AttributeError(f"there is no gate {name!r}; the gates are {', '.join(gates)}{did_you_mean(name, gates)}")

    def __dir__(self) -> list[str]:
        return list(self._gates)
