"""Initial parameters: each gate on its own, with the defaults that are usual in the field."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from rnnbench.cells import GRU, LSTM, VanillaRNN, chrono, identity_matrix

FEATURES, HIDDEN = 3, 6


def start(make, **options):
    return make(FEATURES, HIDDEN, param_dtype=jnp.float64, rngs=nnx.Rngs(0), **options)


def by_gate(cell, fused):
    """Splits a fused parameter into the parts of each gate."""
    return dict(zip(cell.blocks, jnp.split(fused[...], len(cell.blocks), axis=-1), strict=True))


@pytest.mark.parametrize(("make", "gates"), [(VanillaRNN, 1), (LSTM, 4), (GRU, 3)])
def test_recurrent_kernel_of_every_gate_is_orthogonal(make, gates):
    cell = start(make)
    kernels = by_gate(cell, cell.recurrent_kernel)
    assert len(kernels) == gates
    for kernel in kernels.values():
        np.testing.assert_allclose(jnp.linalg.svd(kernel, compute_uv=False), 1, rtol=1e-10)
    assert len({float(kernel[0, 0]) for kernel in kernels.values()}) == gates, "the gates share a draw"


def test_kernel_is_lecun_normal_whatever_the_number_of_gates():
    cell = LSTM(100, 100, rngs=nnx.Rngs(0))
    assert float(jnp.std(cell.kernel[...])) == pytest.approx(0.1, rel=0.02)  # 1 / sqrt(in_features)


@pytest.mark.parametrize(("options", "expected"), [({}, 1.0), ({"forget_bias": -0.5}, -0.5)])
@pytest.mark.parametrize("peepholes", [False, True])
def test_forget_bias(options, expected, peepholes):
    cell = start(LSTM, peepholes=peepholes, **options)
    for gate, bias in by_gate(cell, cell.bias).items():
        np.testing.assert_array_equal(bias, expected if gate == "forget" else 0.0)


def test_biases_of_the_others_are_zero():
    assert not start(VanillaRNN).bias[...].any()
    gru = start(GRU)
    assert not gru.bias[...].any()
    assert gru.recurrent_bias.shape == (HIDDEN,)
    assert not gru.recurrent_bias[...].any()
    assert start(GRU, reset="before").recurrent_bias is None


@pytest.mark.parametrize("make", [VanillaRNN, LSTM, GRU])
def test_without_bias_there_is_none(make):
    assert set(nnx.to_pure_dict(nnx.state(start(make, use_bias=False)))) == {"kernel", "recurrent_kernel"}


def test_peepholes_start_at_zero():
    cell = start(LSTM, peepholes=True)
    assert cell.peephole.shape == (3, HIDDEN)
    assert not cell.peephole[...].any()


def test_chrono():
    """Time constants 1 + u are spread evenly over the requested range; the input gate mirrors the forget gate."""
    cell = start(LSTM, bias_init=chrono(14.0))
    biases = by_gate(cell, cell.bias)
    np.testing.assert_allclose(np.exp(biases["forget"]), [2, 4, 6, 8, 10, 12], rtol=1e-12)
    np.testing.assert_array_equal(biases["input"], -biases["forget"])
    assert not biases["output"].any()
    assert not biases["candidate"].any()
    np.testing.assert_allclose(1 / (1 - jax.nn.sigmoid(biases["forget"])), [3, 5, 7, 9, 11, 13], rtol=1e-12)


def test_chrono_needs_a_dependency_above_two_steps():
    with pytest.raises(ValueError, match=r"^chrono needs a longest dependency above 2 steps, got 2\.0$"):
        chrono(2.0)


CONSTANT = jax.nn.initializers.constant


@pytest.mark.parametrize("argument", ["kernel_init", "recurrent_kernel_init", "bias_init"])
def test_every_initialiser_may_be_one_for_all_gates_or_by_gate(argument):
    parameter = {"kernel_init": "kernel", "recurrent_kernel_init": "recurrent_kernel", "bias_init": "bias"}[argument]
    default = by_gate(*(lambda cell: (cell, getattr(cell, parameter)))(start(LSTM)))
    cell = start(LSTM, **{argument: CONSTANT(0.5)})
    assert (getattr(cell, parameter)[...] == 0.5).all()
    cell = start(LSTM, **{argument: {"output": CONSTANT(0.5)}})
    for gate, block in by_gate(cell, getattr(cell, parameter)).items():
        np.testing.assert_array_equal(block, 0.5 if gate == "output" else default[gate])


@pytest.mark.parametrize("argument", ["kernel_init", "recurrent_kernel_init", "bias_init"])
@pytest.mark.parametrize(
    ("given", "message"),
    [
        (0.5, r"expected an initialiser \(a function of key, shape and dtype\), got 0\.5"),
        (
            {"forget": {"value": 1}},
            r"expected an initialiser \(a function of key, shape and dtype\) for gate 'forget', got \{'value': 1\}",
        ),
        (
            {"forgte": CONSTANT(1.0)},
            "'forgte' is none of the gates that have one, which are input, forget, candidate, output. "
            r"Did you mean forget\?",
        ),
    ],
)
def test_what_is_no_initialiser_is_refused(argument, given, message, untyped):
    with pytest.raises(ValueError, match=f"^{argument}: {message}"):
        start(LSTM, **{argument: given})


@pytest.mark.parametrize(("make", "option", "gate"), [(LSTM, "forget_bias", "forget"), (GRU, "update_bias", "update")])
def test_a_bias_to_start_with_may_be_traced(make, option, gate):
    """It may differ between the members of a population."""
    biases = jax.jit(jax.vmap(lambda value: start(make, **{option: value}).bias[...]))(
        jnp.array([0.5, 2.0], jnp.float32)
    )
    for value, bias in zip((0.5, 2.0), biases, strict=True):
        for name, block in by_gate(start(make), bias).items():
            np.testing.assert_array_equal(block, value if name == gate else 0.0)


def test_irnn():
    cell = start(VanillaRNN, activation="relu", recurrent_kernel_init=identity_matrix)
    np.testing.assert_array_equal(cell.recurrent_kernel[...], np.eye(HIDDEN))


@pytest.mark.parametrize("make", [VanillaRNN, LSTM, GRU])
def test_parameters_depend_on_the_key_alone(make):
    first, again, other = (nnx.to_pure_dict(nnx.state(make(FEATURES, HIDDEN, rngs=nnx.Rngs(s)))) for s in (0, 0, 1))
    jax.tree.map(np.testing.assert_array_equal, first, again)
    assert (first["kernel"] != other["kernel"]).all()
    assert {leaf.dtype for leaf in jax.tree.leaves(first)} == {jnp.float32.dtype}
