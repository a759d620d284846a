"""Initialisations of any cell: what each draws, which cells take it, and that the rest of the cell stays as it was."""

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from rnnbench import cells
from rnnbench.cells import GRU, LSTM, MGU, GatedCell, LSTMVariant, MinLSTM, VanillaRNN, chrono, initialization
from rnnbench.cells.gates import Gates
from rnnbench.cells.initialization import KeepingBiases, RecurrentKernels, spectral_radius

N = 40


def drawn(init: RecurrentKernels, seed: int = 0, n: int = N) -> np.ndarray:
    return np.asarray(init.draw(jax.random.key(seed), (n, n), jnp.float32), np.float64)


def largest(matrix: np.ndarray) -> float:
    return float(np.abs(np.linalg.eigvals(matrix)).max())


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("n", [1, 2, 7, 100])
def test_the_spectral_radius_is_that_of_numpy(seed: int, n: int) -> None:
    draw = np.random.default_rng(seed)
    for matrix in (draw.normal(size=(n, n)), np.triu(draw.normal(size=(n, n))), 1e-6 * draw.normal(size=(n, n))):
        found = float(spectral_radius(jnp.asarray(matrix, jnp.float32)))
        assert found == pytest.approx(largest(matrix.astype(np.float32)), rel=2e-5)


def test_a_rotation_whose_largest_eigenvalues_are_a_pair_has_a_spectral_radius() -> None:
    rotation = np.array([[np.cos(1), -np.sin(1)], [np.sin(1), np.cos(1)]], np.float32)
    assert float(spectral_radius(jnp.asarray(0.7 * rotation))) == pytest.approx(0.7, rel=1e-5)


def test_the_recurrent_kernels_have_the_property_of_their_name() -> None:
    q = drawn(initialization.orthogonal(1.5))
    np.testing.assert_allclose(q @ q.T, 2.25 * np.eye(N), atol=1e-5)
    np.testing.assert_array_equal(drawn(initialization.identity(0.5)), 0.5 * np.eye(N))
    entries = drawn(initialization.normal(0.2), n=200)
    assert entries.std() == pytest.approx(0.2, rel=0.02)
    assert abs(entries.mean()) < 0.01
    assert largest(drawn(initialization.spectral(1.2))) == pytest.approx(1.2, rel=1e-4)


def test_each_unit_of_the_sparse_kernel_sees_as_many_others_as_asked_for() -> None:
    sparse = drawn(initialization.sparse(connections=3, radius=0.95))
    np.testing.assert_array_equal(np.count_nonzero(sparse, axis=0), 3)
    assert len({tuple(np.flatnonzero(column)) for column in sparse.T}) > N // 2, "the columns share their places"
    assert largest(sparse) == pytest.approx(0.95, rel=1e-4)
    assert np.count_nonzero(drawn(initialization.sparse(connections=15), n=4)) == 16, "all of a narrow cell"
    with pytest.raises(ValueError, match="connections: expected 1 or more, got 0"):
        initialization.sparse(connections=0)


def test_the_kernel_of_the_np_rnn_is_positive_definite_with_a_largest_eigenvalue_of_1() -> None:
    kernel = drawn(initialization.np_rnn())
    np.testing.assert_allclose(kernel, kernel.T, atol=1e-6)
    eigenvalues = np.linalg.eigvalsh(kernel)
    assert eigenvalues.min() > 0
    assert eigenvalues.max() == pytest.approx(1, rel=1e-4)


def initialized(make: type, init: initialization.Initialization, **options: object) -> tuple[GatedCell, GatedCell]:
    """Returns a cell as it is made, and the same cell initialised."""
    before, after = (make(3, N, rngs=nnx.Rngs(0), **options) for _ in range(2))
    init(after, nnx.Rngs(1))
    return before, after


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_every_gate_gets_a_kernel_of_its_own_and_the_rest_stays(dtype: jnp.dtype) -> None:
    before, after = initialized(LSTM, initialization.orthogonal(2.0), param_dtype=dtype)
    kernels = [np.asarray(kernel, np.float64) for kernel in after.recurrent_kernels().values()]
    for kernel in kernels:
        np.testing.assert_allclose(kernel @ kernel.T, 4 * np.eye(N), atol=0.1 if dtype == jnp.bfloat16 else 1e-5)
    assert len({kernel[0, 0] for kernel in kernels}) == 4
    assert after.recurrent_kernel is not None
    assert after.recurrent_kernel[...].dtype == dtype
    for name in ("kernel", "bias"):
        np.testing.assert_array_equal(getattr(after, name)[...], getattr(before, name)[...])


def biases(cell: GatedCell) -> dict[str, np.ndarray]:
    assert cell.bias is not None
    return dict(zip(cell.blocks, np.split(np.asarray(cell.bias[...]), len(cell.blocks)), strict=True))


def test_chrono_on_an_lstm_is_the_initialiser_of_the_same_name() -> None:
    _, after = initialized(LSTM, initialization.chrono(50.0))
    expected = LSTM(3, N, bias_init=chrono(50.0), rngs=nnx.Rngs(0))
    for gate, value in biases(expected).items():
        np.testing.assert_allclose(biases(after)[gate], value, rtol=1e-6)


@pytest.mark.parametrize(
    ("make", "options", "signs"),
    [
        (GRU, {}, {"update": 1}),
        (MGU, {}, {"forget": -1}),
        (MinLSTM, {}, {"forget": 1, "input": -1}),
        (LSTMVariant, {"forget_gate": "coupled"}, {"input": -1}),
        (LSTMVariant, {"input_gate": False}, {"forget": 1}),
    ],
)
def test_the_biases_have_the_sign_of_the_cells_convention(make: type, options: dict, signs: dict[str, int]) -> None:
    before, after = initialized(make, initialization.chrono(50.0), **options)
    kept = np.log(1 + (np.arange(N) + 0.5) / N * 48)
    for gate, value in biases(after).items():
        expected = signs[gate] * kept if gate in signs else biases(before)[gate]
        np.testing.assert_allclose(value, expected, rtol=1e-5)
    _, after = initialized(make, initialization.bias(1.5), **options)
    for gate, sign in after.keeping.items():
        np.testing.assert_array_equal(biases(after)[gate], sign * 1.5)
    for gate in after.writing:
        np.testing.assert_array_equal(biases(after)[gate], biases(before)[gate])


CELLS = [made for made in vars(cells).values() if isinstance(made, type) and issubclass(made, GatedCell)]
CELLS = [made for made in CELLS if not inspect.isabstract(made)]


@pytest.mark.parametrize("make", CELLS)
def test_what_a_cell_declares_is_what_its_retention_depends_on(make: type) -> None:
    """The sign of a gate is that of the derivative of how much is kept; gates that only write have none."""
    options: list[dict] = [{}]
    if make is LSTMVariant:
        options += [{"forget_gate": "coupled"}, {"forget_gate": "none"}, {"input_gate": False}]
    for own in options:
        cell = make(3, 8, rngs=nnx.Rngs(0), **own)
        values = {gate: jnp.full((cell.gate_features,), 0.4) for gate in cell.gates}
        slopes = jax.grad(lambda values, cell=cell: sum(map(jnp.sum, cell.retention(Gates(values)).values()), 0.0))(
            values
        )
        found = {gate: int(np.sign(np.sum(slope))) for gate, slope in slopes.items() if np.any(slope)}
        if make is MinLSTM:  # its two gates are divided by their sum, so that the input gate forgets
            found.pop("input")
        if make is cells.LEM:  # keeps less than a gate's whole part, so that no bias gives a length of memory
            found = {}
        assert found == dict(cell.keeping)
        assert not {*cell.keeping} & {*cell.writing}
        assert {*cell.keeping, *cell.writing} <= {*cell.gates}


@pytest.mark.parametrize(
    ("init", "make", "options", "reason"),
    [
        (initialization.identity(), cells.IndRNN, {}, "no gate of IndRNN sees h"),
        (initialization.identity(), cells.LRU, {}, "no gate of LRU sees h"),
        (initialization.identity(), cells.ExpRNN, {}, "ExpRNN constrains its own"),
        (initialization.identity(), cells.AntisymmetricRNN, {}, "AntisymmetricRNN constrains its own"),
        (initialization.identity(), cells.ClockworkRNN, {}, "ClockworkRNN constrains its own"),
        (initialization.identity(), cells.ProjectedLSTM, {}, "those of ProjectedLSTM are 40 x "),
        (initialization.identity(), nnx.LSTMCell, {}, "written gate by gate; LSTMCell is not"),
        (initialization.chrono(9.0), VanillaRNN, {}, "a gate that keeps a state, .*; VanillaRNN has none"),
        (initialization.chrono(9.0), LSTM, {"use_bias": False}, "this LSTM has none"),
        (initialization.bias(), cells.LayerNormLSTM, {}, "this LayerNormLSTM has none"),
    ],
)
def test_a_cell_that_cannot_take_it_says_why(
    init: initialization.Initialization, make: type, options: dict, reason: str
) -> None:
    with pytest.raises(ValueError, match=reason):
        initialized(make, init, **options)
    with pytest.raises(ValueError, match=reason):
        init.replaced_options(lambda rngs: make(3, N, rngs=rngs, **options))


def test_the_longest_dependency_has_a_limit() -> None:
    assert isinstance(initialization.chrono(2.5), KeepingBiases)
    with pytest.raises(ValueError, match=r"longest: expected more than 2 steps, got 2"):
        initialization.chrono(2.0)
