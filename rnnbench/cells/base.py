"""A cell written gate by gate: the author names the gates and combines them; the framework owns the matmuls."""

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, NamedTuple, TypeGuard, cast

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from rnnbench.cells.activations import Activation

Initializer = Callable[..., Array]

lecun_normal = jax.nn.initializers.lecun_normal()
orthogonal = jax.nn.initializers.orthogonal()
zeros = jax.nn.initializers.zeros


class Deferred(NamedTuple):
    """A gate that the step activates itself: its two drives arrive apart, as a `Drive`.

    Args:
        activation: applied by the step through `Drive.activate`.
        recurrent_bias: whether `Drive.from_state` adds a bias of its own.
    """

    activation: Activation
    recurrent_bias: bool = False


Gate = Activation | Deferred
"""A gate is declared by its activation, and then reaches the step activated; or as `Deferred`."""


class Drive:
    """The two parts of a deferred gate's pre-activation.

    Attributes:
        from_input: `x W + b`, `(*batch, hidden)`.
        from_state: maps a state `v`, `(*batch, hidden)`, to `v U`, plus the gate's recurrent bias if it has one.
    """

    def __init__(self, from_input: Array, from_state: Callable[[Array], Array], activate: Callable[[Array], Array]):
        self.from_input = from_input
        self.from_state = from_state
        self.activate = activate


class Gates:
    """The gates of one step, as attributes by their names: activated arrays, or a `Drive` if deferred."""

    def __init__(self, gates: Mapping[str, Array | Drive]):
        self._gates = gates

    def __getattr__(self, name: str) -> Any:
        try:
            return self._gates[name]
        except KeyError:
            raise AttributeError(f"this cell has no gate {name!r}; its gates are {', '.join(self._gates)}") from None


States = tuple[Array, ...]


class GatedCell(nnx.RNNCellBase):
    """Base of every cell that is written by gate.

    A gate's drive is `z = x W + b + h U`. The subclass declares its gates in `gates`, in the order in which
    their blocks stand in the fused parameters, and combines them in `step`. Each gate's part of a kernel is
    initialised on its own. From this form follow the fast unroll with its own gradient (`unroll`) and a
    step for `flax.nnx.RNN`.

    Attributes:
        gates: name to activation, or to `Deferred(activation)`.
        states: names of the recurrent states; the first is the hidden state `h`, which is also the output.
        kernel: `(in_features, gates * hidden)`, W of every gate, those that are not deferred first.
        recurrent_kernel: `(hidden, gates * hidden)`, U in the same order.
        bias: `(gates * hidden,)`, or None.
        recurrent_bias: `(deferred gates with recurrent bias * hidden,)`, or None where there is no such gate.
    """

    gates: Any  # Mapping[str, Gate]: a class attribute or, where it depends on options, a property
    states: ClassVar[tuple[str, ...]] = ("h",)
    step: Callable[..., Array | tuple[Array, ...]]
    """`step(self, gates, *states)`, the cell's own mathematics, elementwise but for `Drive.from_state`.

    Args:
        gates: the gates by name, each `(batch, hidden)`.
        states: the last states, in the order of `self.states`, each `(batch, hidden)`.

    Returns:
        The new states in the same order; a bare array where there is one.
    """

    def __init__(
        self,
        in_features: int,
        hidden_features: int,
        *,
        kernel_init: Initializer = lecun_normal,
        recurrent_kernel_init: Initializer = orthogonal,
        bias_init: Initializer | Mapping[str, Initializer] = zeros,
        use_bias: bool = True,
        param_dtype: Any = jnp.float32,
        rngs: nnx.Rngs,
    ):
        """Creates the parameters.

        Args:
            in_features: width of the input.
            hidden_features: width of the hidden state.
            kernel_init: initialiser of each gate's W, by default LeCun normal.
            recurrent_kernel_init: initialiser of each gate's U, by default orthogonal.
            bias_init: initialiser of each gate's b, or one for each of some gates by name (the others are
                zeros); by default zeros. Recurrent biases start at zero.
            use_bias: whether there are biases at all.
            param_dtype: type of the parameters and of the states.
            rngs: source of the keys, stream `params`.
        """
        if not hasattr(type(self), "step"):
            raise TypeError(f"{type(self).__name__} must define step(self, gates, {', '.join(self.states)})")
        self.in_features = in_features
        self.hidden_features = hidden_features
        self.param_dtype = param_dtype
        names = self.joint + self.deferred
        if isinstance(bias_init, Mapping) and (unknown := set(bias_init) - set(names)):
            raise ValueError(f"bias_init names {sorted(unknown)}, which are not gates; the gates are {list(names)}")

        def fused(init_of: Callable[[str], Initializer], rows: tuple[int, ...]) -> nnx.Param:
            shape = (*rows, hidden_features)
            # The orthogonal initialiser needs a QR decomposition, which there is none of in half precision.
            drawn = param_dtype if jnp.finfo(param_dtype).bits >= 32 else jnp.float32
            parts = [init_of(name)(rngs.params(), shape, drawn) for name in names]
            return nnx.Param(jnp.concatenate(parts, axis=-1).astype(param_dtype))

        self.kernel = fused(lambda _: kernel_init, (in_features,))
        self.recurrent_kernel = fused(lambda _: recurrent_kernel_init, (hidden_features,))
        per_gate = bias_init if isinstance(bias_init, Mapping) else dict.fromkeys(names, bias_init)
        self.bias = fused(lambda name: per_gate.get(name, zeros), ()) if use_bias else None
        biased = len(self.recurrently_biased) * hidden_features if use_bias else 0
        self.recurrent_bias = nnx.Param(jnp.zeros(biased, param_dtype)) if biased else None

    @property
    def joint(self) -> tuple[str, ...]:
        """Names of the gates that reach the step activated."""
        return tuple(name for name, gate in self.gates.items() if not isinstance(gate, Deferred))

    @property
    def deferred(self) -> tuple[str, ...]:
        """Names of the gates that the step activates itself."""
        return tuple(name for name, gate in self.gates.items() if isinstance(gate, Deferred))

    @property
    def recurrently_biased(self) -> tuple[str, ...]:
        """Names of the deferred gates with a recurrent bias."""
        return tuple(name for name in self.deferred if self.gates[name].recurrent_bias)

    def combine(self, gates: Mapping[str, Array | Drive], states: States) -> States:
        """`step`, with its states always as a tuple."""
        new = self.step(Gates(gates), *states)
        new = new if isinstance(new, tuple) else (new,)
        if len(new) != len(self.states):
            name, expected = type(self).__name__, ", ".join(self.states)
            raise ValueError(f"{name}.step must return the new states ({expected}), but it returned {len(new)} arrays")
        return new

    def __call__(
        self, carry: tuple[Float[Array, "*batch hidden"], ...], inputs: Float[Array, "*batch features"]
    ) -> tuple[tuple[Float[Array, "*batch hidden"], ...], Float[Array, "*batch hidden"]]:
        """One step, as `flax.nnx.RNN` wants it: carry (the states) and input to new carry and output (h)."""
        new = self.combine(self._gates(carry, inputs), carry)
        return new, new[0]

    def observe(
        self, carry: tuple[Float[Array, "*batch hidden"], ...], inputs: Float[Array, "*batch features"]
    ) -> tuple[tuple[Float[Array, "*batch hidden"], ...], dict[str, Float[Array, "*batch hidden"]]]:
        """One step: the new carry, and the value of every gate by name (a deferred one as the step activates it)."""
        values: dict[str, Array] = {}

        def observed(name: str, drive: Drive) -> Drive:
            def activate(z: Array) -> Array:
                values[name] = drive.activate(z)
                return values[name]

            return Drive(drive.from_input, drive.from_state, activate)

        gates = self._gates(carry, inputs)
        new = self.combine({n: observed(n, g) if isinstance(g, Drive) else g for n, g in gates.items()}, carry)
        values |= {name: gate for name, gate in gates.items() if not isinstance(gate, Drive)}
        return new, {name: values[name] for name in self.gates if name in values}

    def retention(self, gates: Gates) -> dict[str, Array]:
        """Returns, for each state that a gate keeps, the factor by which it is kept; by default none."""
        del gates
        return {}

    def _gates(self, carry: States, inputs: Array) -> dict[str, Array | Drive]:
        """The gates of one step."""
        hidden, names = self.hidden_features, self.joint + self.deferred
        from_input = jnp.split(inputs @ self.kernel[...], len(names), axis=-1)
        if self.bias is not None:
            biases = jnp.split(self.bias[...], len(names))
            from_input = [z + jnp.broadcast_to(b, z.shape) for z, b in zip(from_input, biases, strict=True)]
        kernels = jnp.split(self.recurrent_kernel[...], len(names), axis=-1)

        gates: dict[str, Array | Drive] = {}
        for name, z, kernel in zip(names, from_input, kernels, strict=True):
            gate = self.gates[name]
            if isinstance(gate, Deferred):

                def from_state(state: Array, name: str = name, kernel: Array = kernel) -> Array:
                    drive = state @ kernel
                    if self.recurrent_bias is not None and name in self.recurrently_biased:
                        start = self.recurrently_biased.index(name) * hidden
                        bias = self.recurrent_bias[start : start + hidden]
                        drive = drive + jnp.broadcast_to(bias, drive.shape)
                    return drive

                gates[name] = Drive(z, from_state, gate.activation)
            else:
                gates[name] = gate(z + carry[0] @ kernel)
        return gates

    def initialize_carry(
        self,
        input_shape: tuple[int, ...],
        rngs: Any = None,
        carry_init: Any = None,
    ) -> States:
        """States before the first step, zeros unless `carry_init` is given.

        Args:
            input_shape: shape of one step's input, `(*batch, features)`.
            rngs: source of keys for `carry_init`, stream `carry`.
            carry_init: initialiser called with a key, a shape and a type.
        """
        shape = (*input_shape[:-1], self.hidden_features)
        if carry_init is None:
            return tuple(jnp.zeros(shape, self.param_dtype) for _ in self.states)
        stream = rngs.carry if isinstance(rngs, nnx.Rngs) else rngs
        return tuple(cast(Array, carry_init(stream(), shape, self.param_dtype)) for _ in self.states)

    @property
    def num_feature_axes(self) -> int:
        """Number of feature axes of the input, for `flax.nnx.RNN`."""
        return 1


def is_gated(cell: nnx.RNNCellBase) -> TypeGuard[GatedCell]:
    """Whether a cell is written by gate, and steps as `GatedCell` does."""
    return isinstance(cell, GatedCell) and type(cell).__call__ is GatedCell.__call__
