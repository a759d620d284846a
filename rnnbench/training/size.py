"""The size of a model: how many parameters it has, how many numbers its state, and which width fits a budget."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import nnx

from rnnbench.config.schema import ModelConfig
from rnnbench.errors import UserError
from rnnbench.model import Model


def parameters(model: Model) -> int:
    """Returns the number of a model's parameters, from embedding to readout. Arrays may be abstract."""
    return sum(leaf.size for leaf in jax.tree.leaves(nnx.state(model, nnx.Param)))


def state_size(model: Model) -> int:
    """Returns how many numbers all layers carry from one step to the next for one sequence. Arrays may be abstract.

    A state that no step depends on, such as the output h of a cell that is linear in another state, is not counted.
    """
    return sum(map(_carried, model.cells))


def _carried(cell: nnx.RNNCellBase) -> int:
    """Returns how many numbers of its last states a cell's step depends on."""
    graphdef, variables = nnx.split(cell)
    inputs = jax.ShapeDtypeStruct((1, getattr(cell, "in_features", 1)), getattr(cell, "param_dtype", jnp.float32))
    carry = jax.eval_shape(lambda: cell.initialize_carry(inputs.shape, nnx.Rngs(0)))
    jaxpr = jax.make_jaxpr(lambda carry, *rest: nnx.merge(graphdef, rest[0])(carry, rest[1]))(carry, variables, inputs)
    read = {id(var) for equation in jaxpr.eqns for var in equation.invars} | {*map(id, jaxpr.jaxpr.outvars)}
    states = jaxpr.jaxpr.invars[: len(jax.tree.leaves(carry))]
    return sum(var.aval.size for var in states if id(var) in read)


def hidden_size(config: ModelConfig, build: Callable[[int], Model]) -> int:
    """Returns a model's hidden size: the configured one, or the one whose number of parameters is nearest to a budget.

    Of two equally near ones, it is the smaller one.

    Args:
        config: the model's configuration.
        build: returns the model of a hidden size; its arrays may be abstract.

    Raises:
        UserError: even the smallest model has more parameters than the budget.
    """
    if config.hidden_size is not None:
        return config.hidden_size
    budget = config.parameters
    assert budget is not None, "a configuration has a hidden size or a budget"

    def count(size: int) -> int:
        """Returns the number of parameters, or 0 for a size that the cell refuses."""
        try:
            return parameters(build(size))
        except ValueError:
            return 0

    low, high = 0, 1
    while high <= budget and count(high) <= budget:
        low, high = high, 2 * high
    while high - low > 1:  # count(low) <= budget < count(high)
        middle = (low + high) // 2
        low, high = (middle, high) if count(middle) <= budget else (low, middle)
    more = parameters(build(high))
    if low == 0 or (less := count(low)) == 0:
        raise UserError(f"model.parameters: expected {more} or more for this cell and this task, got {budget}")
    return low if budget - less <= more - budget else high
