"""The model around the cells: any cell, any number of layers, and carries passed from call to call."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from rnnbench.cells import GRU, LSTM, VanillaRNN
from rnnbench.model import state_names
from rnnbench.tasks import Adding, CopyMemory, Example, SentenceCompletion, SequenceLabelling
from tests.helpers import BATCH, HIDDEN, batch_of, build

LENGTH = 6
CELLS = [VanillaRNN, LSTM, GRU, nnx.SimpleCell, nnx.LSTMCell, nnx.OptimizedLSTMCell, nnx.GRUCell]
LAST_STEP = Adding(length=LENGTH)
EVERY_STEP = CopyMemory(length=LENGTH)


@pytest.mark.parametrize("make_cell", CELLS)
def test_layers_stack(make_cell):
    """With token inputs and two layers, the outputs equal those of the parts combined by hand."""
    model, batch = build(make_cell, EVERY_STEP, num_layers=2, embedding_size=5), batch_of(EVERY_STEP)
    outputs, carry = jax.jit(lambda x, mask: model(x, mask))(batch.inputs, batch.mask)

    x = jnp.swapaxes(model.embedding.embedding[...][batch.inputs], 0, 1)
    assert x.shape == (EVERY_STEP.length, BATCH, 5)
    for cell, last in zip(model.layers, carry, strict=True):
        expected, x = nnx.RNN(cell, time_major=True, return_carry=True)(x)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), last, expected)
    np.testing.assert_allclose(outputs, jnp.swapaxes(model.readout(x), 0, 1), rtol=1e-5, atol=1e-6)
    assert outputs.shape == (BATCH, EVERY_STEP.length, EVERY_STEP.out_features)


@pytest.mark.parametrize("make_cell", [LSTM, nnx.LSTMCell, nnx.SimpleCell])
def test_carry_of_one_call_starts_the_next(make_cell):
    model, batch = build(make_cell, EVERY_STEP, num_layers=2), batch_of(EVERY_STEP)
    run = jax.jit(lambda x, mask, carry=None: model(x, mask, carry))
    whole, last = run(batch.inputs, batch.mask)
    first, carry = run(batch.inputs[:, :2], batch.mask[:, :2])
    second, last_of_second = run(batch.inputs[:, 2:], batch.mask[:, 2:], carry)
    np.testing.assert_allclose(jnp.concatenate([first, second], axis=1), whole, rtol=1e-5, atol=1e-6)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), last_of_second, last)


@pytest.mark.parametrize("make_cell", [LSTM, nnx.LSTMCell])
def test_last_step_is_the_last_real_one(make_cell):
    model, batch = build(make_cell, LAST_STEP, num_layers=2), batch_of(LAST_STEP)
    mask = jnp.arange(LENGTH)[None] < jnp.array([6, 4, 1])[:, None]
    run = jax.jit(lambda x, mask: model(x, mask)[0])
    outputs = run(jnp.where(mask[..., None], batch.inputs, 1e3), mask)
    assert outputs.shape == (BATCH, LAST_STEP.out_features)
    for i, length in enumerate((6, 4, 1)):
        alone = run(batch.inputs[i : i + 1, :length], jnp.ones((1, length), bool))
        np.testing.assert_allclose(outputs[i : i + 1], alone, rtol=1e-5, atol=1e-6)


def test_first_layer_reads_features_and_the_others_the_layer_below():
    model = build(LSTM, LAST_STEP, num_layers=3)
    assert model.embedding is None
    assert [cell.in_features for cell in model.layers] == [LAST_STEP.in_features, HIDDEN, HIDDEN]
    kernels = [cell.recurrent_kernel[...] for cell in model.layers]
    assert (kernels[1] != kernels[2]).all(), "the layers share a draw"


@pytest.mark.parametrize("task", [LAST_STEP, EVERY_STEP], ids=["last", "every"])
@pytest.mark.parametrize("make_cell", [GRU, nnx.OptimizedLSTMCell])
@pytest.mark.parametrize(
    ("residual", "layer_norm", "bidirectional"),
    [(True, False, False), (False, True, False), (True, True, False), (False, False, True), (True, True, True)],
)
def test_layers_are_their_equations(make_cell, task, residual, layer_norm, bidirectional):
    """Compared with NumPy around a loop over the steps of each sequence, without its padding."""
    options = {"residual": residual, "layer_norm": layer_norm, "bidirectional": bidirectional}
    model = build(make_cell, task, num_layers=3, **options)
    width = HIDDEN * (1 + bidirectional)
    for i, norm in enumerate(model.norms or []):
        norm.scale[...], norm.bias[...] = jnp.linspace(0.5, 2, width), jnp.full(width, 0.1 * i)
    batch = batch_of(task)
    lengths = (batch.mask.shape[1], 4, 1)
    mask = jnp.arange(batch.mask.shape[1])[None] < jnp.array(lengths)[:, None]
    outputs = jax.jit(lambda x, mask: model(x, mask)[0])(batch.inputs, mask)
    given = model.layer_inputs(batch.inputs, mask)
    x = batch.inputs if model.embedding is None else model.embedding(batch.inputs)
    for example, length in enumerate(lengths):
        z = x[example : example + 1, :length]
        for layer, cell in enumerate(model.layers):
            np.testing.assert_allclose(given[layer][:length, example], z[0], rtol=1e-4, atol=1e-5)
            h = np.asarray(nnx.RNN(cell)(z))
            if bidirectional:
                h = np.concatenate([h, nnx.RNN(model.backward[layer])(z[:, ::-1])[:, ::-1]], axis=-1)
            if task.last_step_only and layer == 2:  # which is read only where the cells have read everything
                z, h = (np.concatenate([of[:, -1:, :HIDDEN], of[:, :1, HIDDEN:]], axis=-1) for of in (z, h))
            if layer_norm:
                h = (h - h.mean(-1, keepdims=True)) / np.sqrt(h.var(-1, keepdims=True) + 1e-6)
                h = h * np.linspace(0.5, 2, width) + 0.1 * layer
            z = jnp.asarray(h + (z if residual and layer > 0 else 0), jnp.float32)
        y = model.readout(z)[0]
        found = outputs[example] if task.last_step_only else outputs[example, :length]
        np.testing.assert_allclose(found, y[-1] if task.last_step_only else y, rtol=1e-3, atol=1e-4)
    assert len(jax.tree.leaves(nnx.state(model.norms, nnx.Param) if layer_norm else {})) == 6 * layer_norm


def test_what_is_padded_does_not_reach_a_bidirectional_model():
    model, batch = build(LSTM, LAST_STEP, num_layers=2, bidirectional=True), batch_of(LAST_STEP)
    mask = jnp.arange(LENGTH)[None] < jnp.array([6, 4, 1])[:, None]
    run = jax.jit(lambda x: model(x, mask)[0])
    np.testing.assert_array_equal(run(jnp.where(mask[..., None], batch.inputs, 1e3)), run(batch.inputs))


def test_a_bidirectional_model_takes_no_carry():
    model, batch = build(GRU, EVERY_STEP, bidirectional=True), batch_of(EVERY_STEP)
    carry = model(batch.inputs, batch.mask)[1]
    with pytest.raises(ValueError, match="carry: expected None for a bidirectional model"):
        model(batch.inputs, batch.mask, carry)


def test_a_tied_readout_is_the_transposed_embedding():
    task = SentenceCompletion()
    model, batch = build(GRU, task, embedding_size=None, tie_embedding=True), batch_of(task)
    model.readout_bias[...] = jnp.linspace(-1, 1, task.out_features)
    embedding = np.asarray(model.embedding.embedding[...])
    assert embedding.shape == (task.vocab_size, HIDDEN)
    h = np.asarray(nnx.RNN(model.layers[0])(jnp.asarray(embedding[batch.inputs])))
    expected = h @ embedding.T + np.linspace(-1, 1, task.out_features)
    found = jax.jit(lambda x, mask: model(x, mask)[0])(batch.inputs, jnp.ones_like(batch.mask))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    assert {*nnx.to_pure_dict(nnx.state(model))} == {"embedding", "layers", "readout_bias"}


@pytest.mark.parametrize(
    ("task", "size", "message"),
    [
        (SentenceCompletion(), HIDDEN + 1, f"expected embedding_size=null, or {HIDDEN}, .* got {HIDDEN + 1}"),
        (EVERY_STEP, None, "expected a task with as many outputs as tokens, .* got one with 10 tokens and 9 outputs"),
        (LAST_STEP, None, "got one with no tokens and 1 outputs"),
    ],
)
def test_a_readout_that_cannot_be_tied(task, size, message):
    with pytest.raises(ValueError, match=message):
        build(GRU, task, embedding_size=size, tie_embedding=True)


class Pairs(SequenceLabelling):
    """A task with three ids at each step, whose outputs depend on the one before."""

    pairwise = True

    def __init__(self) -> None:
        super().__init__(LENGTH, symbols="abcde", answers="xy")

    def example(self, key):
        ids = jax.random.randint(key, (LENGTH, 3), 0, 5)
        scored = jnp.ones(LENGTH, bool)
        return Example(inputs=ids, targets=ids[:, 0] % 2, mask=scored, info={"scored": scored})


def test_embeddings_of_a_step_are_added_and_outputs_scored_after_each_other():
    task = Pairs()
    model, batch = build(VanillaRNN, task), batch_of(task)
    assert not model.transitions[...].any()
    model.transitions[...] = jnp.array([[0.0, 1.0], [2.0, 3.0]])
    x = np.asarray(model.embedding.embedding[...])[batch.inputs].sum(axis=2)
    y = np.asarray(model.readout(nnx.RNN(model.layers[0])(jnp.asarray(x))))
    outputs, _ = jax.jit(lambda inputs, mask: model(inputs, mask))(batch.inputs, batch.mask)
    assert outputs.shape == (len(batch.inputs), *task.output_shape(LENGTH))
    for before, after in itertools.product(range(2), repeat=2):
        expected = y[..., after] + 2 * before + after
        np.testing.assert_allclose(outputs[..., before, after], expected, rtol=1e-4, atol=1e-5)
    [inputs] = model.layer_inputs(batch.inputs, batch.mask)
    np.testing.assert_allclose(inputs, x.swapaxes(0, 1), rtol=1e-6)


class FourStates(LSTM):
    """An LSTM with two extra states."""

    states = ("h", "c", "n", "m")

    def step(self, gates, h, c, n, m):
        h, c = super().step(gates, h, c)
        return h, c, 0.9 * n + gates.input, jnp.maximum(m, h)


class NoOutputState(nnx.RNNCellBase):
    """A cell whose carry has two states but not the output."""

    def __init__(self, in_features, hidden_features, *, rngs):
        self.in_features, self.hidden_features = in_features, hidden_features
        self.mix = nnx.Linear(in_features, hidden_features, rngs=rngs)

    def __call__(self, carry, inputs):
        new = (0.5 * carry[0] + self.mix(inputs), 0.9 * carry[1])
        return new, new[0] + new[1]

    def initialize_carry(self, input_shape, rngs=None, carry_init=None):
        return tuple(jnp.ones((*input_shape[:-1], self.hidden_features), jnp.float32) for _ in range(2))


@pytest.mark.parametrize(
    ("make_cell", "names"),
    [
        (VanillaRNN, ("h",)),
        (LSTM, ("h", "c")),
        (FourStates, ("h", "c", "n", "m")),
        (nnx.GRUCell, ("h",)),
        (nnx.LSTMCell, ("c", "h")),
        (nnx.OptimizedLSTMCell, ("c", "h")),
        (NoOutputState, ("s0", "s1")),
    ],
)
def test_state_names(make_cell, names):
    assert state_names(make_cell(2, HIDDEN, rngs=nnx.Rngs(0))) == names


@pytest.mark.parametrize("make_cell", [GRU, nnx.LSTMCell, NoOutputState, FourStates])
def test_zero_perturbation_changes_nothing(make_cell):
    model, batch = build(make_cell, LAST_STEP, num_layers=2), batch_of(LAST_STEP)
    eps = model.zero_perturbation(batch.inputs)
    states = len(state_names(model.layers[0]))
    assert jax.tree.map(jnp.shape, jax.tree.leaves(eps)) == [(LENGTH, BATCH, HIDDEN)] * (2 * states)
    plain, perturbed = model(batch.inputs, batch.mask)[0], model(batch.inputs, batch.mask, perturbation=eps)[0]
    np.testing.assert_allclose(perturbed, plain, rtol=1e-6)
