"""The model: embedding (of token inputs), a stack of recurrent layers, and a linear readout."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float, PyTree, Shaped

from rnnbench.cells import GatedCell, unroll
from rnnbench.cells.linear import Method, is_linear
from rnnbench.dropout import Dropout
from rnnbench.tasks.base import Task

MakeCell = Callable[..., nnx.RNNCellBase]


class Model(nnx.Module):
    """Embedding, recurrent layers and readout, the same around every cell.

        x_t = embedding[token_t]                    for a task with tokens, otherwise the features themselves
        h_t^l = cell^l(h_{t-1}^l, z_t^{l-1})        with z_t^0 = x_t
        z_t^l = N^l(h_t^l) + z_t^{l-1}              N only with `layer_norm`, the sum only with `residual` and if l > 1
        y_t = z_t^L R + r

    N is layer normalisation with a gain and a bias for each layer (Ba et al. 2016). The residual connection (He et al.
    2016) starts at the second layer, because the first may read inputs of another width.

    Attributes:
        layers: one cell per layer.
        last_step_only: whether the readout sees only the last step.
    """

    def __init__(
        self,
        make_cell: MakeCell,
        task: Task,
        *,
        hidden_size: int,
        num_layers: int = 1,
        embedding_size: int = 32,
        residual: bool = False,
        layer_norm: bool = False,
        remat_every: int | None = None,
        method: Method | None = None,
        rngs: nnx.Rngs,
    ):
        """Creates the parameters.

        Args:
            make_cell: makes a cell (any `flax.nnx.RNNCellBase`) from `(in_features, hidden_features, rngs=rngs)`.
            task: determines the widths of inputs and outputs.
            hidden_size: width of every layer's hidden state.
            num_layers: number of recurrent layers.
            embedding_size: width of a token's embedding; unused for feature inputs.
            residual: whether each layer from the second on adds its input to its output.
            layer_norm: whether each layer's output is normalised, before that sum.
            remat_every: steps between two stored carries (see `unroll`), which saves memory and costs time.
            method: how a cell that is linear in its state computes it (see `unroll`).
            rngs: source of the keys.
        """
        self.embedding = None if task.vocab_size is None else nnx.Embed(task.vocab_size, embedding_size, rngs=rngs)
        width = task.in_features if task.vocab_size is None else embedding_size
        widths = [width] + [hidden_size] * (num_layers - 1)
        self.layers = nnx.List([make_cell(width, hidden_size, rngs=rngs) for width in widths])
        self.readout = nnx.Linear(hidden_size, task.out_features, rngs=rngs)
        norms = [nnx.LayerNorm(hidden_size, rngs=rngs) for _ in widths] if layer_norm else []
        self.norms = nnx.List(norms) if layer_norm else None
        self.residual = residual
        self.remat_every = remat_every
        self.method = method
        self.last_step_only = task.last_step_only

    def __call__(
        self,
        inputs: Shaped[Array, "batch time ..."],
        mask: Bool[Array, "batch time"],
        carry: list[PyTree] | None = None,
        perturbation: list[PyTree] | None = None,
        dropout: Dropout | None = None,
        truncate: int | None = None,
    ) -> tuple[Float[Array, "batch *time out"], list[PyTree]]:
        """Runs a batch of sequences.

        Args:
            inputs: token ids `(batch, time)`, or features `(batch, time, features)`.
            mask: False at padded steps.
            carry: each layer's states before the first step, as returned by this method; by default the cells'
                initial states.
            perturbation: each layer's eps (see `unroll`).
            dropout: what is dropped, in training.
            truncate: steps of a segment through which the gradient passes (see `unroll`).

        Returns:
            The outputs at every step (or only at the last one, without a time axis), and each layer's last carry.
        """
        x = inputs if self.embedding is None else self.embedding(inputs)
        x, mask = jnp.swapaxes(x, 0, 1), mask.T
        last = []
        for i, cell in enumerate(self.layers):
            layer_carry, h = unroll(
                cell if dropout is None else dropout.cell(cell, i),
                x,
                carry=None if carry is None else carry[i],
                mask=mask,
                perturbation=None if perturbation is None else perturbation[i],
                remat_every=self.remat_every,
                method=self.method,
                last_only=self.last_step_only and i == len(self.layers) - 1,
                truncate=truncate,
            )
            last.append(layer_carry)
            x = self._output(i, x, h)
            if dropout is not None:
                x = dropout.output(x, i)
        return self.readout(x if self.last_step_only else jnp.swapaxes(x, 0, 1)), last

    def layer_inputs(
        self, inputs: Shaped[Array, "batch time ..."], mask: Bool[Array, "batch time"]
    ) -> list[Float[Array, "time batch _"]]:
        """Returns the inputs of each layer, time first: embeddings or features, then outputs of the layer below."""
        x = jnp.swapaxes(inputs if self.embedding is None else self.embedding(inputs), 0, 1)
        xs = [x]
        for i, cell in enumerate(self.layers[:-1]):
            _, h = unroll(cell, x, mask=mask.T, method=self.method)
            x = self._output(i, x, h)
            xs.append(x)
        return xs

    def _output(
        self, layer: int, below: Float[Array, "time batch _"], h: Float[Array, "*time batch hidden"]
    ) -> Float[Array, "*time batch hidden"]:
        """Returns z of a layer, at every step or at the last one, as h is. A padded step repeats the one before it."""
        z = h if self.norms is None else self.norms[layer](h)
        if not self.residual or layer == 0:
            return z
        return z + (below if h.ndim == below.ndim else below[-1])

    def zero_perturbation(self, inputs: Shaped[Array, "batch time ..."]) -> list[PyTree]:
        """Returns eps = 0 for every layer. The gradient with respect to it is dL/dcarry_t."""
        batch, time = inputs.shape[:2]

        def zeros(cell: nnx.RNNCellBase) -> PyTree:
            width = getattr(cell, "in_features", 1)
            carry = jax.eval_shape(lambda: cell.initialize_carry((batch, width), nnx.Rngs(0)))
            return jax.tree.map(lambda x: jnp.zeros((time, *x.shape), x.dtype), carry)

        return [zeros(cell) for cell in self.layers]


def state_names(cell: nnx.RNNCellBase) -> tuple[str, ...]:
    """Returns the names of the leaves of a cell's carry.

    A gated cell names them itself. In any other cell, the leaf that is also the output is `h`; in a pair, the other
    leaf is `c`. All others are `s0`, `s1`, ... by their position.
    """
    if isinstance(cell, GatedCell):
        return cell.states
    names: list[str] = []

    graphdef, variables = nnx.split(cell)

    def one_step(variables: Any, x: Any) -> None:
        whole = nnx.merge(graphdef, variables)
        new, output = whole(whole.initialize_carry(x.shape, nnx.Rngs(0)), x)
        leaves = jax.tree.leaves(new)
        like_lstm = len(leaves) == 2 and any(leaf is output for leaf in leaves)
        names.extend("h" if leaf is output else "c" if like_lstm else f"s{i}" for i, leaf in enumerate(leaves))

    x = jax.ShapeDtypeStruct((1, getattr(cell, "in_features", 1)), getattr(cell, "param_dtype", jnp.float32))
    jax.eval_shape(one_step, variables, x)
    return tuple(names)


def first_state(cell: nnx.RNNCellBase) -> str:
    """Returns the name of the state that represents a cell: h or, if there is no h, the first one.

    A cell that is linear in its state is represented by that state: no step depends on its last output h.
    """
    names = state_names(cell)
    if is_linear(cell):
        return names[-1]
    return "h" if "h" in names else names[0]
