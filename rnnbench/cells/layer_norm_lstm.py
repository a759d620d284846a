"""The LSTM with layer normalisation."""

from typing import ClassVar, Unpack

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from rnnbench.cells.activations import sigmoid, tanh
from rnnbench.cells.base import GatedCell, KernelOptions, Number
from rnnbench.cells.gates import Gate, Gates

EPSILON = 1e-5


def normalized(x: Float[Array, "*b features"]) -> Float[Array, "*b features"]:
    """Returns x with mean 0 and variance 1 over its features: (x - mean) / sqrt(variance + 1e-5)."""
    centred = x - jnp.mean(x, axis=-1, keepdims=True)
    return centred * jax.lax.rsqrt(jnp.mean(centred * centred, axis=-1, keepdims=True) + EPSILON)


class LayerNormLSTM(GatedCell):
    r"""LSTM with layer normalisation (Ba et al. 2016, equations 20 to 22).

        i, f, o = sigmoid(a * N(h U) + e * N(x W) + b)      gates, each with its own U, W, a, e and b
        g = tanh(a_g * N(h U_g) + e_g * N(x W_g) + b_g)     candidate
        c' = f * c + i * g
        h' = o * tanh(a_c * N(c') + b_c)

    N subtracts the mean and divides by the standard deviation (`normalized`). As in most implementations, each gate is
    normalised by itself; the paper takes one mean and one deviation over all four.
    """

    states: ClassVar = ("h", "c")
    gates: ClassVar = {
        "input": Gate(sigmoid, deferred=True),
        "forget": Gate(sigmoid, deferred=True),
        "candidate": Gate(tanh, deferred=True),
        "output": Gate(sigmoid, deferred=True),
    }
    keeping: ClassVar = {"forget": 1}
    writing: ClassVar = ("input",)

    def __init__(
        self,
        in_features: int,
        hidden_features: int,
        *,
        forget_bias: Number = 1.0,
        **options: Unpack[KernelOptions],
    ):
        """Creates the parameters. Gains start at 1, and biases at 0 but for b_f.

        Args:
            in_features: width of the input.
            hidden_features: width of the hidden state.
            forget_bias: initial value of b_f.
            options: the other options of `GatedCell`.
        """
        # Normalisation would take out a bias inside of it, so the biases are the cell's own.
        super().__init__(in_features, hidden_features, use_bias=False, **options)
        ones = jnp.ones((len(self.gates), hidden_features), self.param_dtype)
        self.state_gain, self.input_gain = nnx.Param(ones), nnx.Param(ones)
        bias = jnp.zeros_like(ones).at[list(self.gates).index("forget")].set(forget_bias)
        self.shift = nnx.Param(bias)
        self.cell_gain, self.cell_shift = nnx.Param(ones[0]), nnx.Param(jnp.zeros_like(ones[0]))

    def step(
        self, gates: Gates, h: Float[Array, "*b hidden"], c: Float[Array, "*b hidden"]
    ) -> tuple[Float[Array, "*b hidden"], Float[Array, "*b hidden"]]:
        """Returns (h', c'), given the gates' drives, h and c."""

        # All gates at once: a step of training then takes three quarters of the time.
        drives = (gates.input, gates.forget, gates.candidate, gates.output)
        state = normalized(jnp.stack([drive.from_state(h) for drive in drives], axis=-2))
        given = normalized(jnp.stack([drive.from_input for drive in drives], axis=-2))
        gains = (jnp.broadcast_to(p[...], state.shape) for p in (self.state_gain, self.input_gain, self.shift))
        state_gain, input_gain, shift = gains
        z = state_gain * state + input_gain * given + shift
        i, f, g, o = (drive.activate(z[..., number, :]) for number, drive in enumerate(drives))
        c = f * c + i * g
        gain, shift = (jnp.broadcast_to(p[...], c.shape) for p in (self.cell_gain, self.cell_shift))
        return o * tanh(gain * normalized(c) + shift), c

    def retention(self, gates: Gates) -> dict[str, Array]:
        """Returns the forget gate, which keeps c."""
        return {"c": gates.forget}
