"""What the gates do."""

from flax import nnx
from jax import lax
from jaxtyping import Array, Bool, Float, Shaped

from rnnbench.cells.base import GatedCell, States, is_gated
from rnnbench.cells.scanning import hold
from rnnbench.model import Model


def gate_values(
    model: Model, inputs: Shaped[Array, "batch time ..."], mask: Bool[Array, "batch time"]
) -> dict[tuple[int, str], Float[Array, "time batch _"]]:
    """The value of every gate at every step, by (layer, name of the gate).

    Args:
        model: the model with its parameters.
        inputs: token ids or features, as the model takes them.
        mask: False at padded steps; there the gates are as if the input were real, and the state stays.

    Returns:
        The gates of cells written by gate; of other cells nothing is known, and nothing is returned.
    """
    return {
        (layer, name): values
        for layer, (cell, xs) in enumerate(zip(model.layers, model.layer_inputs(inputs, mask), strict=True))
        if is_gated(cell)
        for name, values in _observed(cell, xs, mask.T).items()
    }


def _observed(
    cell: GatedCell, inputs: Float[Array, "time batch _"], mask: Bool[Array, "time batch"]
) -> dict[str, Float[Array, "time batch gate"]]:
    def step(states: States, x: tuple[Array, Array]) -> tuple[States, dict[str, Array]]:
        inputs_t, mask_t = x
        new, values = cell.observe(states, inputs_t)
        return hold(mask_t, new, states), values

    return lax.scan(step, cell.initialize_carry(inputs.shape[1:], nnx.Rngs(0)), (inputs, mask))[1]
