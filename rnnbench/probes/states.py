"""The states of a cell at every step."""

from flax import nnx
from jax import lax
from jaxtyping import Array, Bool, Float, PyTree

from rnnbench.cells.scanning import hold


def states_over_time(
    cell: nnx.RNNCellBase, inputs: Float[Array, "time batch _"], mask: Bool[Array, "time batch"]
) -> PyTree:
    """Returns the carry after every step, each leaf `(time, batch, hidden)`. A padded step leaves it unchanged.

    Args:
        cell: any cell; it starts from its initial state.
        inputs: the cell's inputs.
        mask: False at padded steps.
    """

    def step(states: PyTree, x: tuple[Array, Array]) -> tuple[PyTree, PyTree]:
        inputs_t, mask_t = x
        new = cell(states, inputs_t)[0]
        new = hold(mask_t, new, states)
        return new, new

    return lax.scan(step, cell.initialize_carry(inputs.shape[1:], nnx.Rngs(0)), (inputs, mask))[1]
