"""The model: embedding (of token inputs), a stack of recurrent layers, and a linear readout."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float, PyTree, Shaped

from rnnbench.cells import unroll
from rnnbench.cells.linear import Method, is_linear
from rnnbench.dropout import Dropout
from rnnbench.tasks.base import Task

MakeCell = Callable[..., nnx.RNNCellBase]


class Model(nnx.Module):
    """Embedding, recurrent layers and readout, the same around every cell.

        x_t = sum_i embedding[token_ti]             for a task with tokens, otherwise the features themselves
        h_t^l = cell^l(h_{t-1}^l, z_t^{l-1})        with z_t^0 = x_t
        z_t^l = N^l(h_t^l) + z_t^{l-1}              N only with `layer_norm`, the sum only with `residual` and if l > 1
        y_t = z_t^L R + r                           with `tie_embedding`, R is the embedding, transposed
        y_t[i, j] = (z_t^L R + r)_j + A_ij          for a task whose outputs are `pairwise`

    N is layer normalisation with a gain and a bias for each layer (Ba et al. 2016). The residual connection (He et al.
    2016) starts at the second layer, because the first may read inputs of another width.

    In a `bidirectional` model (Schuster and Paliwal 1997), each layer has a second cell that reads the sequence from
    its end to its start, and N sees [h_t^l, g_t^l] in place of h_t^l:

        g_t^l = cell'^l(g_{t+1}^l, z_t^{l-1})

    If only the last step is read, the second half of z is that of the first step, so that either cell has read
    everything. Carries, perturbations and probes are those of the forward cells.

    Attributes:
        layers: one cell per layer.
        backward: the cell of each layer that reads backwards, or None.
        last_step_only: whether the readout sees only the last step.
    """

    def __init__(
        self,
        make_cell: MakeCell,
        task: Task,
        *,
        hidden_size: int,
        num_layers: int = 1,
        embedding_size: int | None = 32,
        residual: bool = False,
        layer_norm: bool = False,
        bidirectional: bool = False,
        tie_embedding: bool = False,
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
            embedding_size: width of a token's embedding, None for that of a layer's output; unused for feature inputs.
            residual: whether each layer from the second on adds its input to its output.
            layer_norm: whether each layer's output is normalised, before that sum.
            bidirectional: whether a second cell of each layer reads backwards.
            tie_embedding: whether the readout is the transposed embedding, with a bias (Press and Wolf 2017).
            remat_every: steps between two stored carries (see `unroll`), which saves memory and costs time.
            method: how a cell that is linear in its state computes it (see `unroll`).
            rngs: source of the keys.

        Raises:
            ValueError: the readout and the embedding are to be tied, but differ in shape.
        """
        out = 2 * hidden_size if bidirectional else hidden_size
        embedding_size = out if embedding_size is None else embedding_size
        if tie_embedding and (task.vocab_size != task.out_features or embedding_size != out):
            raise ValueError(_untied(task, embedding_size, out))
        self.embedding = None if task.vocab_size is None else nnx.Embed(task.vocab_size, embedding_size, rngs=rngs)
        width = task.in_features if task.vocab_size is None else embedding_size
        widths = [width] + [out] * (num_layers - 1)
        self.layers = nnx.List([make_cell(width, hidden_size, rngs=rngs) for width in widths])
        self.readout = None if tie_embedding else nnx.Linear(out, task.out_features, rngs=rngs)
        self.readout_bias = nnx.Param(jnp.zeros(task.out_features)) if tie_embedding else None
        out_features = task.out_features
        self.transitions = nnx.Param(jnp.zeros((out_features, out_features))) if task.pairwise else None
        norms = [nnx.LayerNorm(out, rngs=rngs) for _ in widths] if layer_norm else []
        self.norms = nnx.List(norms) if layer_norm else None
        # Last, so that a bidirectional model starts with the forward cells of one that is not.
        backward = [make_cell(width, hidden_size, rngs=rngs) for width in widths] if bidirectional else []
        self.backward = nnx.List(backward) if bidirectional else None
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
    ) -> tuple[Float[Array, "batch ... out"], list[PyTree]]:
        """Runs a batch of sequences.

        Args:
            inputs: token ids `(batch, time)`, or `(batch, time, ids)` if each step has several, or features `(batch,
                time, features)`.
            mask: False at padded steps.
            carry: each layer's states before the first step, as returned by this method; by default the cells'
                initial states.
            perturbation: each layer's eps (see `unroll`).
            dropout: what is dropped, in training.
            truncate: steps of a segment through which the gradient passes (see `unroll`).

        Returns:
            The outputs at every step (or only at the last one, without a time axis), and each layer's last carry. The
            outputs of a step are `(out,)`, or `(out, out)` if the task's are `pairwise`.

        Raises:
            ValueError: a carry is given to a bidirectional model, which has to read a sequence as a whole.
        """
        if carry is not None and self.backward is not None:
            raise ValueError("carry: expected None for a bidirectional model, which reads a sequence as a whole")
        x, mask = self._embed(inputs), mask.T
        last = []
        for i in range(len(self.layers)):
            layer_carry, x = self._layer(
                i,
                x,
                mask,
                carry=None if carry is None else carry[i],
                perturbation=None if perturbation is None else perturbation[i],
                last_only=self.last_step_only and i == len(self.layers) - 1,
                dropout=dropout,
                truncate=truncate,
            )
            last.append(layer_carry)
        x = x if self.last_step_only else jnp.swapaxes(x, 0, 1)
        y = self._read_out(x)
        if self.transitions is not None:
            y = jnp.broadcast_to(y[..., None, :], (*y.shape, y.shape[-1]))
            y += jnp.broadcast_to(self.transitions[...], y.shape)
        return y, last

    def _read_out(self, x: Float[Array, "... hidden"]) -> Float[Array, "... out"]:
        if self.readout is not None:
            return self.readout(x)
        assert self.embedding is not None, "to which the readout is tied"
        assert self.readout_bias is not None
        logits = self.embedding.attend(x)
        return logits + jnp.broadcast_to(self.readout_bias[...], logits.shape)

    @property
    def cells(self) -> list[nnx.RNNCellBase]:
        """Returns the cells of all layers: the forward ones, then the backward ones."""
        return [*self.layers, *(self.backward or [])]

    def layer_inputs(
        self, inputs: Shaped[Array, "batch time ..."], mask: Bool[Array, "batch time"]
    ) -> list[Float[Array, "time batch _"]]:
        """Returns the inputs of each layer, time first: embeddings or features, then outputs of the layer below."""
        x = self._embed(inputs)
        xs = [x]
        for i in range(len(self.layers) - 1):
            _, x = self._layer(i, x, mask.T)
            xs.append(x)
        return xs

    def _embed(self, inputs: Shaped[Array, "batch time ..."]) -> Float[Array, "time batch _"]:
        """Returns the inputs of the first layer, time first."""
        x = inputs if self.embedding is None else self.embedding(inputs)
        if self.embedding is not None and inputs.ndim == 3:
            x = jnp.sum(x, axis=2)
        return jnp.swapaxes(x, 0, 1)

    def _layer(
        self,
        i: int,
        x: Float[Array, "time batch _"],
        mask: Bool[Array, "time batch"],
        *,
        carry: PyTree | None = None,
        perturbation: PyTree | None = None,
        last_only: bool = False,
        dropout: Dropout | None = None,
        truncate: int | None = None,
    ) -> tuple[PyTree, Float[Array, "*time batch _"]]:
        """Returns the last carry of layer i, counted from 0, and its output z, at every step or only at the last."""

        def run(cell: nnx.RNNCellBase, number: int, x: Array, mask: Array, **forward: PyTree) -> tuple[PyTree, Array]:
            return unroll(
                cell if dropout is None else dropout.cell(cell, number),
                x,
                mask=mask,
                remat_every=self.remat_every,
                method=self.method,
                last_only=last_only,
                truncate=truncate,
                **forward,
            )

        last, h = run(self.layers[i], i, x, mask, carry=carry, perturbation=perturbation)
        if self.backward is not None:
            # Padded steps come first in reverse, where they keep the initial state.
            _, g = run(self.backward[i], len(self.layers) + i, x[::-1], mask[::-1])
            h = jnp.concatenate([h, g if last_only else g[::-1]], axis=-1)
        z = self._output(i, x, h, mask)
        return last, z if dropout is None else dropout.output(z, i)

    def _output(
        self,
        layer: int,
        below: Float[Array, "time batch _"],
        h: Float[Array, "*time batch hidden"],
        mask: Bool[Array, "time batch"],
    ) -> Float[Array, "*time batch hidden"]:
        """Returns z of a layer, at every step or at the last one, as h is."""
        z = h if self.norms is None else self.norms[layer](h)
        if not self.residual or layer == 0:
            return z
        return z + (below if h.ndim == below.ndim else self._at_end(below, mask))

    def _at_end(
        self, z: Float[Array, "time batch hidden"], mask: Bool[Array, "time batch"]
    ) -> Float[Array, "batch hidden"]:
        """Returns z where its cells have read everything: at the last step, and the backward half at the first."""
        if self.backward is None:
            return z[-1]  # a padded step repeats the one before it
        last = mask.shape[0] - 1 - jnp.argmax(mask[::-1], axis=0)
        at_last, at_first = (jnp.take_along_axis(z, at[None, :, None], axis=0)[0] for at in (last, jnp.argmax(mask, 0)))
        half = z.shape[-1] // 2
        return jnp.concatenate([at_last[:, :half], at_first[:, half:]], axis=-1)

    def zero_perturbation(self, inputs: Shaped[Array, "batch time ..."]) -> list[PyTree]:
        """Returns eps = 0 for every layer. The gradient with respect to it is dL/dcarry_t."""
        batch, time = inputs.shape[:2]

        def zeros(cell: nnx.RNNCellBase) -> PyTree:
            width = getattr(cell, "in_features", 1)
            carry = jax.eval_shape(lambda: cell.initialize_carry((batch, width), nnx.Rngs(0)))
            return jax.tree.map(lambda x: jnp.zeros((time, *x.shape), x.dtype), carry)

        return [zeros(cell) for cell in self.layers]


def _untied(task: Task, embedding_size: int, out: int) -> str:
    """Returns why the embedding of a task cannot be its readout."""
    if task.vocab_size != task.out_features:
        tokens = "no tokens" if task.vocab_size is None else f"{task.vocab_size} tokens"
        return (
            "tie_embedding: expected a task with as many outputs as tokens, such as sentence_completion, got one with "
            f"{tokens} and {task.out_features} outputs"
        )
    return (
        f"tie_embedding: expected embedding_size=null, or {out}, as wide as the output of a layer, got {embedding_size}"
    )


def state_names(cell: nnx.RNNCellBase) -> tuple[str, ...]:
    """Returns the names of the leaves of a cell's carry.

    A cell names them in `states`, as gated cells do. Without it, the leaf that is also the output is `h`; in a pair,
    the other leaf is `c`. All others are `s0`, `s1`, ... by their position.
    """
    if (states := getattr(cell, "states", None)) is not None:
        return tuple(states)
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
