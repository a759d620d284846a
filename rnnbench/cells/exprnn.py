"""The exponential RNN, whose recurrent kernel is exactly orthogonal."""

from typing import Any, ClassVar, Unpack

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, PRNGKeyArray

from rnnbench.cells.activations import identity
from rnnbench.cells.base import GatedCell, KernelOptions
from rnnbench.cells.gates import Gate, Gates


def rotations(key: PRNGKeyArray, shape: tuple[int, int], dtype: Any = jnp.float32) -> Float[Array, "rows columns"]:
    """Returns A for which exp(A - A^T) rotates each pair of units by a random angle in (-pi, pi) (Henaff et al. 2016).

    A unit that is left without a partner is not rotated.
    """
    angles = jax.random.uniform(key, (shape[0] // 2,), dtype, -jnp.pi, jnp.pi)
    first = 2 * jnp.arange(len(angles))
    return jnp.zeros(shape, dtype).at[first, first + 1].set(angles)


def modrelu(z: Float[Array, "*b hidden"], bias: Float[Array, " hidden"]) -> Float[Array, "*b hidden"]:
    """Returns sign(z) max(|z| + bias, 0) (Arjovsky et al. 2016), which keeps the sign."""
    return jnp.sign(z) * jax.nn.relu(jnp.abs(z) + jnp.broadcast_to(bias, z.shape))


class ExpRNN(GatedCell):
    r"""expRNN (Lezcano-Casado & Martinez-Rubio 2019).

        h' = modrelu(x W + h exp(A - A^T), b),      modrelu(z, b) = sign(z) max(|z| + b, 0)

    The exponential of an antisymmetric matrix is orthogonal, and every rotation is one. So whatever the optimizer does
    to A, the recurrent kernel keeps the length of h and of its gradient. It is computed once for each sequence.
    """

    gates: ClassVar = {"hidden": Gate(identity)}

    def __init__(self, in_features: int, hidden_features: int, **options: Unpack[KernelOptions]):
        """Creates the parameters. The bias b starts at 0, and A at random rotations of pairs of units.

        Args:
            in_features: width of the input.
            hidden_features: width of the hidden state.
            options: the other options of `GatedCell`; `recurrent_kernel_init` draws A.
        """
        given: KernelOptions = {"recurrent_kernel_init": rotations, **options}
        super().__init__(in_features, hidden_features, use_bias=False, **given)
        self.threshold = nnx.Param(jnp.zeros(hidden_features, self.param_dtype))

    def effective(self, kernel: Float[Array, "hidden hidden"]) -> Float[Array, "hidden hidden"]:
        """Returns exp(A - A^T)."""
        return jax.scipy.linalg.expm(kernel - kernel.T)

    def step(self, gates: Gates, h: Float[Array, "*b hidden"]) -> Float[Array, "*b hidden"]:
        """Returns h', given the gate, which has no activation."""
        del h
        return modrelu(gates.hidden, self.threshold[...])
