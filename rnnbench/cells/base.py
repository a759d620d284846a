"""A cell written gate by gate: its author declares the gates and combines them, and the framework does the matmuls."""

import abc
import functools
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Required, TypedDict, TypeGuard, cast

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from rnnbench.cells.gates import Drive, Gate, Gates
from rnnbench.cells.initializers import ByGate, Initializer, by_gate
from rnnbench.config.annotations import FOLDABLE

lecun_normal = jax.nn.initializers.lecun_normal()
orthogonal = jax.nn.initializers.orthogonal()
zeros = jax.nn.initializers.zeros

States = tuple[Array, ...]

Number = Annotated[float | Float[Array, ""], FOLDABLE]
"""A number that is an argument of a cell or a schedule, and may differ between the members of a population."""


class KernelOptions(TypedDict, total=False):
    """Options that a subclass with other biases passes on to `GatedCell`, as `**options: Unpack[KernelOptions]`."""

    kernel_init: ByGate
    recurrent_kernel_init: ByGate
    param_dtype: Any
    rngs: Required[nnx.Rngs]


class CellOptions(KernelOptions, total=False):
    """Options that any other subclass passes on to `GatedCell`, as `**options: Unpack[CellOptions]`.

    `bias_init` is not one of them, because many cells combine it with an option of their own.
    """

    use_bias: bool


class GatedCell(nnx.RNNCellBase):
    """Base class of all cells that are written gate by gate.

    A gate's drive is `z = x W + b + h U`, or `x W + b` for a gate that is not recurrent. The subclass declares its
    gates in `gates` and combines them in `step`. Each gate's part of a kernel is initialised separately. In return,
    the cell gets a fast unroll with its own gradient (`unroll`) and a step for `flax.nnx.RNN`.

    The parameters of all gates are fused side by side, one block per gate; `blocks` gives the order of the gates.

    Attributes:
        states: names of the recurrent states; the first is the hidden state `h`, which is also the output.
        in_features: width of the input.
        hidden_features: width of `h`.
        kernel: `(in_features, gates * gate_features)`, W of every gate.
        recurrent_kernel: `(hidden_features, recurrent gates * gate_features)`, U of every recurrent gate, or None
            if there is no such gate.
        bias: `(gates * gate_features,)`, or None.
        recurrent_bias: `(gates with recurrent bias * gate_features,)`, or None if there is no such gate.
    """

    states: ClassVar[tuple[str, ...]] = ("h",)

    def __new__(cls, *_: Any, **__: Any) -> Any:
        # Python's own message about an abstract class does not say which arguments a step takes.
        forms = {"gates": "gates, as {name: Gate(activation)}", "step": f"step(self, gates, {', '.join(cls.states)})"}
        if missing := [form for name, form in forms.items() if name in cls.__abstractmethods__]:
            raise TypeError(f"{cls.__name__} must define {' and '.join(missing)}")
        return super().__new__(cls)

    def __init__(
        self,
        in_features: int,
        hidden_features: int,
        *,
        kernel_init: ByGate = lecun_normal,
        recurrent_kernel_init: ByGate = orthogonal,
        bias_init: ByGate = zeros,
        use_bias: bool = True,
        param_dtype: Any = jnp.float32,
        rngs: nnx.Rngs,
    ):
        """Creates the parameters. Each `*_init` is one initialiser for all gates, or a mapping from the names of some.

        Args:
            in_features: width of the input.
            hidden_features: width of the hidden state.
            kernel_init: initialiser of each gate's W, by default LeCun normal.
            recurrent_kernel_init: initialiser of each recurrent gate's U, by default orthogonal.
            bias_init: initialiser of each gate's b, by default zeros. Recurrent biases start at zero.
            use_bias: whether there are any biases.
            param_dtype: type of the parameters and of the states.
            rngs: source of the keys, which come from its stream `params`.

        Raises:
            TypeError: a gate is not declared as a `Gate`.
            ValueError: an initialiser is not a function, or is given for a gate that does not exist.
        """
        for name, gate in self.gates.items():
            if not isinstance(gate, Gate):
                raise TypeError(f"{type(self).__name__}.gates: expected a Gate(activation) for {name!r}, got {gate!r}")
        self.in_features = in_features
        self.hidden_features = hidden_features
        self.param_dtype = param_dtype
        width = self.gate_features

        def fused(inits: Mapping[str, Initializer], rows: tuple[int, ...]) -> nnx.Param | None:
            return nnx.Param(draw_blocks([*inits.values()], (*rows, width), param_dtype, rngs)) if inits else None

        self.kernel = cast(
            nnx.Param, fused(by_gate("kernel_init", kernel_init, self.blocks, lecun_normal), (in_features,))
        )
        self.recurrent_kernel = fused(
            by_gate("recurrent_kernel_init", recurrent_kernel_init, self.recurrent, orthogonal), (hidden_features,)
        )
        self.bias = fused(by_gate("bias_init", bias_init, self.blocks, zeros), ()) if use_bias else None
        biased = len(self.recurrently_biased) * width if use_bias else 0
        self.recurrent_bias = nnx.Param(jnp.zeros(biased, param_dtype)) if biased else None

    @property
    @abc.abstractmethod
    def gates(self) -> Mapping[str, Gate]:
        """The cell's gates by name: a class attribute or, if they depend on options, a property.

        gates: ClassVar = {"forget": Gate(sigmoid), "candidate": Gate(tanh, deferred=True)}
        """

    # A subclass overrides this with its states' names in place of `*states`. Nobody passes any keyword arguments: they
    # make type checkers accept every such signature.
    @abc.abstractmethod
    def step(self, gates: Gates, /, *states: Any, **_: Any) -> Array | tuple[Array, ...]:
        """Returns the new states: the cell's equations, `step(self, gates, h)`, elementwise except `Drive.from_state`.

        It may use further parameters of the cell. It must not draw random numbers or store anything in the cell:
        whatever the next step needs must be a state.

        Args:
            gates: the gates as attributes, each `(*batch, gate_features)`; a deferred gate is a `Drive`.
            states: the previous states, in the order of `self.states`, each `(*batch, its width)`.

        Returns:
            The new states in the same order, with the shapes and types of the previous ones. If there is only one
            state, it may be returned as an array instead of a tuple.
        """

    def retention(self, gates: Gates) -> dict[str, Array]:
        """Returns the factor by which a step keeps a state, for each state that a gate carries over without a matmul.

            retention[s] = ds' / ds,   with the values of all gates held

        The forget gate of an LSTM keeps c, for example. By default, no state is known to be carried over by a gate.

        Args:
            gates: the activated gates as attributes, with any leading axes: `Gates(values)`, where `values` are those
                that `observe` returns, or the same over time.

        Returns:
            The factors by name of the state, with the shape of the gates.
        """
        del gates
        return {}

    @property
    def keeping(self) -> Mapping[str, int]:
        """The gates that decide how much of a state is kept: 1 if a gate of 1 keeps it, -1 if a gate of 0 does.

        A class attribute or a property, as `gates`. Their activation is a sigmoid, and `retention` depends on them.
        Initialisations such as `chrono` set their biases.
        """
        return {}

    @property
    def writing(self) -> tuple[str, ...]:
        """Other gates, whose value of 1 writes to that state: the input gate of an LSTM."""
        return ()

    @property
    def gate_features(self) -> int:
        """Width of every gate; by default the width of h."""
        return self.hidden_features

    @property
    def state_features(self) -> dict[str, int]:
        """Width of each state by name; by default `hidden_features` for h and `gate_features` for the others."""
        first, *others = self.states
        return {first: self.hidden_features, **dict.fromkeys(others, self.gate_features)}

    @property
    def joint(self) -> tuple[str, ...]:
        """Names of the gates that see h and are activated before the step. One matmul computes all their drives."""
        return tuple(name for name, gate in self.gates.items() if gate.recurrent and not gate.deferred)

    @property
    def apart(self) -> tuple[str, ...]:
        """Names of the other gates. Their drive from the input is computed separately."""
        return tuple(name for name, gate in self.gates.items() if gate.deferred or not gate.recurrent)

    @property
    def blocks(self) -> tuple[str, ...]:
        """Names of all gates, in the order of their blocks in the fused parameters."""
        return self.joint + self.apart

    @property
    def recurrent(self) -> tuple[str, ...]:
        """Names of the recurrent gates, in the order of their blocks in `recurrent_kernel`."""
        return tuple(name for name in self.blocks if self.gates[name].recurrent)

    @property
    def recurrently_biased(self) -> tuple[str, ...]:
        """Names of the gates with a recurrent bias, in the order of their blocks in `recurrent_bias`."""
        return tuple(name for name in self.blocks if self.gates[name].recurrent_bias)

    def effective(self, kernel: Float[Array, "hidden gate"]) -> Float[Array, "hidden gate"]:
        """Returns U of a gate from its parameter; by default the parameter itself.

        A cell overrides this to constrain U, to an orthogonal matrix for example. It is computed once for a sequence.
        """
        return kernel

    def recurrent_kernels(self) -> dict[str, Float[Array, "hidden gate"]]:
        """Returns U of every recurrent gate by name."""
        return {name: self.effective(part) for name, part in _by_name(self.recurrent, self.recurrent_kernel).items()}

    def recurrent_biases(self) -> dict[str, Float[Array, " gate"]]:
        """Returns by name the recurrent bias of every gate that has one."""
        return _by_name(self.recurrently_biased, self.recurrent_bias)

    def combine(self, gates: Mapping[str, Array | Drive], states: States) -> States:
        """Returns the new states: the result of `step`, checked, and always as a tuple.

        Raises:
            RuntimeError: a deferred gate is not activated.
            TypeError: a new state is not an array, or its type differs from the previous state's.
            ValueError: the number of new states is wrong, or the shape of one differs from the previous state's.
        """
        new = self.step(Gates(gates), *states)
        new = new if isinstance(new, tuple) else (new,)
        where = f"{type(self).__name__}.step"
        if len(new) != len(self.states):
            raise ValueError(
                f"{where} must return the new states ({', '.join(self.states)}), {len(self.states)} arrays, "
                f"got {len(new)}"
            )
        for name, value, last in zip(self.states, new, states, strict=True):
            if isinstance(value, Drive):
                raise RuntimeError(f"{where} must return an array as the new state {name}: {value.advice}")
            if not isinstance(value, Array | np.ndarray):
                raise TypeError(f"{where} must return an array as the new state {name}, got {value!r}")
            if value.shape != last.shape:
                raise ValueError(
                    f"{where}: the new state {name} must have the shape of the last, {last.shape}, got {value.shape}"
                )
            if value.dtype != last.dtype:
                raise TypeError(
                    f"{where}: the new state {name} must be of the type of the last, {last.dtype}, got {value.dtype}"
                )
        return new

    def __call__(
        self, carry: tuple[Float[Array, "*batch _"], ...], inputs: Float[Array, "*batch features"]
    ) -> tuple[tuple[Float[Array, "*batch _"], ...], Float[Array, "*batch hidden"]]:
        """Runs one step, as `flax.nnx.RNN` expects: returns the new carry (the states) and the output (h)."""
        new = self.combine(self.gates_of(carry, inputs), carry)
        return new, new[0]

    def observe(
        self, carry: tuple[Float[Array, "*batch _"], ...], inputs: Float[Array, "*batch features"]
    ) -> tuple[tuple[Float[Array, "*batch _"], ...], dict[str, Float[Array, "*batch gate"]]]:
        """Runs one step, and returns the new carry and each gate's activated value by name, for deferred gates too."""
        gates = self.gates_of(carry, inputs)
        new = self.combine(gates, carry)
        values = {name: gate.value if isinstance(gate, Drive) else gate for name, gate in gates.items()}
        return new, {name: value for name, value in values.items() if value is not None}

    def drive(self, name: str, from_input: Array, project: Any) -> Drive:
        """Returns the `Drive` of a deferred gate; `project` maps v to `v U` plus the recurrent bias."""
        gate = self.gates[name]
        return Drive(name, from_input, project if gate.recurrent else None, gate.activation, self.hidden_features)

    def gates_of(self, carry: States, inputs: Array) -> dict[str, Array | Drive]:
        """Returns the gates of one step."""
        from_input = dict(
            zip(self.blocks, jnp.split(inputs @ self.kernel[...], len(self.blocks), axis=-1), strict=True)
        )
        for name, bias in _by_name(self.blocks, self.bias).items():
            from_input[name] += jnp.broadcast_to(bias, from_input[name].shape)
        kernels, biases = self.recurrent_kernels(), self.recurrent_biases()

        def project(name: str, state: Array) -> Array:
            drive = state @ kernels[name]
            return drive + jnp.broadcast_to(biases[name], drive.shape) if name in biases else drive

        gates: dict[str, Array | Drive] = {}
        for name, gate in self.gates.items():
            if gate.deferred:
                gates[name] = self.drive(name, from_input[name], functools.partial(project, name))
            else:
                z = from_input[name]
                gates[name] = gate.activation(z + carry[0] @ kernels[name] if gate.recurrent else z)
        return gates

    def initialize_carry(
        self,
        input_shape: tuple[int, ...],
        rngs: Any = None,
        carry_init: Any = None,
    ) -> States:
        """Returns the states before the first step, zeros unless `carry_init` is given.

        Args:
            input_shape: shape of one step's input, `(*batch, features)`.
            rngs: source of the keys for `carry_init`: `nnx.Rngs`, whose stream `carry` is used, or one stream.
            carry_init: an initialiser, called with a key, a shape and a type.
        """
        shapes = [(*input_shape[:-1], self.state_features[name]) for name in self.states]
        if carry_init is None:
            return tuple(jnp.zeros(shape, self.param_dtype) for shape in shapes)
        stream = rngs.carry if isinstance(rngs, nnx.Rngs) else rngs
        return tuple(cast(Array, carry_init(stream(), shape, self.param_dtype)) for shape in shapes)

    @property
    def num_feature_axes(self) -> int:
        """Number of feature axes of the input, which `flax.nnx.RNN` asks for."""
        return 1


def draw_blocks(inits: Sequence[Initializer], shape: tuple[int, ...], dtype: Any, rngs: nnx.Rngs) -> Array:
    """Returns arrays of one shape side by side, each drawn by its own initialiser."""
    # The orthogonal initialiser needs a QR decomposition, and JAX has none in half precision.
    drawn = dtype if jnp.finfo(dtype).bits >= 32 else jnp.float32
    return jnp.concatenate([init(rngs.params(), shape, drawn) for init in inits], axis=-1).astype(dtype)


def _by_name(names: tuple[str, ...], fused: nnx.Param | None) -> dict[str, Array]:
    """Returns each gate's block of a fused parameter by name."""
    return {} if fused is None else dict(zip(names, jnp.split(fused[...], len(names), axis=-1), strict=True))


def is_gated(cell: nnx.RNNCellBase) -> TypeGuard[GatedCell]:
    """Returns whether a cell is written gate by gate and does not override the `__call__` of `GatedCell`."""
    return isinstance(cell, GatedCell) and type(cell).__call__ is GatedCell.__call__
