"""Contract checks for cells."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from flax.errors import TraceContextError
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

from rnnbench.cells import Drive, GatedCell, Gates, plain_unroll, unroll
from rnnbench.cells.base import is_gated

FEATURES, HIDDEN, BATCH, TIME = 2, 4, 3, 5
RECALL_STEPS, RECALL_HIDDEN, RECALL_BATCH = 8, 16, 32
LEARNING_RATE = 0.01

THROUGH_GATES = (
    "a step may use kernel, recurrent_kernel, bias and recurrent_bias through its gates only; a cell that needs them "
    "otherwise overrides __call__"
)

Function = Callable[[PyTree, Array, PyTree], Float[Array, ""]]
"""A function of parameters, inputs and first carry that reduces an unroll to a scalar."""


def check_cell(make_cell: Callable[..., nnx.RNNCellBase], *, training_steps: int = 400) -> None:
    """Checks that a cell keeps its contract. Call it in a test of your own:

        def test_contract():
            check_cell(MyCell)
            check_cell(functools.partial(MyCell, my_option=2))

    It checks that:

    - the parameters depend only on the key;
    - the output has the requested width;
    - the unroll equals calling the cell step by step, gives the same result in two parts as in one, and skips padded
      steps;
    - the examples of a batch do not affect each other;
    - the gradient of the unroll equals finite differences (in float64 if the cell computes in the type of its
      parameters) and the gradient of a plain scan;
    - every declared gate is used;
    - `retention` returns the factors by which a step keeps its states;
    - the cell can be mapped over its parameters, as in a population;
    - a small network with this cell learns to recall its first input.

    The check takes a few seconds.

    Args:
        make_cell: makes a cell from `(in_features, hidden_features, rngs=rngs)`, as the model calls it.
        training_steps: the number of steps of Adam in which the network must learn to recall.

    Raises:
        AssertionError: the cell breaks its contract; the message says what to fix.
        TypeError, ValueError, AttributeError, RuntimeError: the step cannot be run; the message says what to fix in
            what it returns or how it uses a gate.
    """
    name = _check_parameters(make_cell)
    with jax.enable_x64(True):
        cell, inputs, carry = _in_float64(make_cell)
        _check_output(name, cell, inputs, carry)
        _check_stepping(name, cell, inputs, carry)
        _check_parts(name, cell, inputs, carry)
        _check_padding(name, cell, inputs, carry)
        _check_batch(name, cell, inputs, carry)
        gradient = _check_gradient(name, cell, inputs, carry)
        if is_gated(cell):
            _check_gates(name, cell, gradient)
            _check_retention(name, cell, inputs, carry)
        _check_population(name, cell, inputs, carry, gradient)
    _check_recall(name, make_cell, training_steps)


def _require(condition: object, name: str, message: str) -> None:
    if not condition:
        raise AssertionError(f"{name}: {message}")


def _close(a: PyTree, b: PyTree, tolerance: float | None = None) -> bool:
    """Returns whether two pytrees agree up to rounding."""

    def close(x: Array, y: Array) -> bool:
        rtol = tolerance or (1e-8 if x.dtype == jnp.float64 else 1e-3)
        return x.shape == y.shape and np.allclose(x, y, rtol=rtol, atol=rtol)

    leaves_a, leaves_b = jax.tree.leaves(a), jax.tree.leaves(b)
    return len(leaves_a) == len(leaves_b) and all(map(close, leaves_a, leaves_b))


def _check_parameters(make_cell: Callable[..., nnx.RNNCellBase]) -> str:
    """Checks the parameters, and returns the cell's name."""
    cells = [make_cell(FEATURES, HIDDEN, rngs=nnx.Rngs(seed)) for seed in (0, 0, 1)]
    name = type(cells[0]).__name__
    _require(
        isinstance(cells[0], nnx.RNNCellBase), name, "a cell derives from rnnbench.cells.GatedCell or nnx.RNNCellBase"
    )
    first, again, other = (nnx.to_pure_dict(nnx.state(cell, nnx.Param)) for cell in cells)
    _require(jax.tree.leaves(first), name, "it has no parameters: keep them in nnx.Param")
    same = jax.tree.map(lambda a, b: bool((a == b).all()), first, again)
    _require(
        all(jax.tree.leaves(same)), name, "one key gave different parameters: take all randomness from rngs.params()"
    )
    same = jax.tree.map(lambda a, b: bool((a == b).all()), first, other)
    _require(not all(jax.tree.leaves(same)), name, "two keys gave the same parameters: draw them with rngs.params()")
    return name


def _noise(generator: np.random.Generator, like: Array) -> Array:
    """Returns standard normal numbers, drawn with NumPy because that needs no compilation."""
    return jnp.asarray(generator.standard_normal(like.shape), like.dtype)


def _in_float64(make_cell: Callable[..., nnx.RNNCellBase]) -> tuple[nnx.RNNCellBase, Array, PyTree]:
    """Returns a cell, its inputs and its first carry, in float64 if the cell can compute in it, else in float32.

    The parameters are changed a little from their initial values, so that those that are initially zero matter too.
    """
    cell = make_cell(FEATURES, HIDDEN, rngs=nnx.Rngs(0))
    carry = cell.initialize_carry((BATCH, FEATURES), nnx.Rngs(0))
    dtype, generator = jnp.float64, np.random.default_rng(0)
    graphdef, params, *others = nnx.split(cell, nnx.Param, ...)

    def cast(tree: PyTree) -> PyTree:
        return jax.tree.map(lambda x: x.astype(dtype) if jnp.issubdtype(x.dtype, jnp.floating) else x, tree)

    def moved(tree: PyTree, size: float) -> PyTree:
        return jax.tree.map(lambda x: x + size * _noise(generator, x), tree)

    def build() -> tuple[nnx.RNNCellBase, Array, PyTree]:
        inputs = _noise(generator, jnp.zeros((TIME, BATCH, FEATURES), dtype))
        return nnx.merge(graphdef, moved(cast(params), 0.1), *cast(others)), inputs, moved(cast(carry), 0.5)

    in_float64 = build()
    try:
        new, _ = jax.eval_shape(lambda: in_float64[0](in_float64[2], in_float64[1][0]))
    except (TypeError, jax.dtypes.TypePromotionError, TraceContextError):  # the last if it draws from its own rngs
        new = None
    if new is not None and {leaf.dtype for leaf in jax.tree.leaves(new)} == {jnp.dtype(jnp.float64)}:
        return in_float64
    dtype = jnp.float32
    return build()


def _check_output(name: str, cell: nnx.RNNCellBase, inputs: Array, carry: PyTree) -> None:
    firsts = {leaf.shape[:1] for leaf in jax.tree.leaves(carry)}
    _require(
        firsts == {(BATCH,)}, name, "initialize_carry: every leaf needs the batch as its first axis, input_shape[:-1]"
    )
    new, output = cell(carry, inputs[0])
    shapes = jax.tree.map(jnp.shape, new), jax.tree.map(jnp.shape, carry)
    _require(
        output.shape == (BATCH, HIDDEN),
        name,
        f"output: expected the shape (batch, hidden_features) = {(BATCH, HIDDEN)}, got {output.shape}",
    )
    _require(
        shapes[0] == shapes[1],
        name,
        f"the new carry must be shaped as initialize_carry gives it: expected {shapes[1]}, got {shapes[0]}",
    )


def _check_stepping(name: str, cell: nnx.RNNCellBase, inputs: Array, carry: PyTree) -> None:
    try:
        last, outputs = unroll(cell, inputs, carry)
    except jax.errors.JAXTypeError as error:
        raise AssertionError(
            f"{name}: a step cannot be compiled: Python control flow must not depend on values, use jnp.where "
            f"({type(error).__name__})"
        ) from error
    except TypeError as error:
        if "ShapeDtypeStruct" not in str(error):
            raise
        raise AssertionError(f"{name}: {THROUGH_GATES}") from error
    _require(np.isfinite(outputs).all(), name, "its outputs are not finite for ordinary inputs")
    by_hand = []
    for x in inputs:
        carry, output = cell(carry, x)
        by_hand.append(output)
    _require(
        _close((last, outputs), (carry, jnp.stack(by_hand))),
        name,
        "the unroll differs from calling the cell step by step: a step must depend on its gates (or inputs) and its "
        "carry alone, keep nothing in the cell and draw nothing",
    )


def _check_parts(name: str, cell: nnx.RNNCellBase, inputs: Array, carry: PyTree) -> None:
    whole = unroll(cell, inputs, carry)
    half, first = unroll(cell, inputs[:2], carry)
    last, second = unroll(cell, inputs[2:], half)
    _require(
        _close(whole, (last, jnp.concatenate([first, second]))),
        name,
        "a sequence in two parts differs from the whole: what a step leaves to the next belongs in the carry",
    )


def _check_padding(name: str, cell: nnx.RNNCellBase, inputs: Array, carry: PyTree) -> None:
    mask = jnp.ones((TIME, BATCH), bool).at[3:].set(False)
    padded, _ = unroll(cell, inputs.at[3:].set(100.0), carry, mask)
    _require(
        _close(padded, unroll(cell, inputs[:3], carry)[0]),
        name,
        "padded steps change the carry: a step's new carry must be finite, and leave it to the mask to hold the last",
    )


def _check_batch(name: str, cell: nnx.RNNCellBase, inputs: Array, carry: PyTree) -> None:
    _, outputs = unroll(cell, inputs, carry)
    _, others = unroll(cell, inputs.at[:, 1:].multiply(-3.0), carry)
    _require(
        _close(outputs[:, 0], others[:, 0]),
        name,
        "an example's outputs depend on the other examples of its batch: let no step mix along the batch axis",
    )
    _, alone = unroll(cell, inputs[:, :1], jax.tree.map(lambda leaf: leaf[:1], carry))
    _require(_close(alone, outputs[:, :1]), name, "an example alone differs from the same example in a batch")


def _scalar(cell: nnx.RNNCellBase, run: Callable[..., Any]) -> Function:
    """Returns a scalar function of all results of an unroll in which the first example's last steps are padded."""
    graphdef, _, *others = nnx.split(cell, nnx.Param, ...)
    mask = jnp.ones((TIME, BATCH), bool).at[2:, 0].set(False)

    def scalar(params: PyTree, inputs: Array, carry: PyTree) -> Float[Array, ""]:
        last, outputs = run(nnx.merge(graphdef, params, *others), inputs, carry, mask)
        return sum((jnp.sum(jnp.cos(leaf)) for leaf in jax.tree.leaves(last)), start=jnp.sum(jnp.sin(outputs)))

    return scalar


def _check_gradient(name: str, cell: nnx.RNNCellBase, inputs: Array, carry: PyTree) -> PyTree:
    """Checks the gradient, and returns the part of it with respect to the parameters."""
    given = (nnx.to_pure_dict(nnx.state(cell, nnx.Param)), inputs, carry)
    function = _scalar(cell, unroll)
    found, plain = jax.jit(
        lambda *given: [jax.grad(_scalar(cell, run), (0, 1, 2))(*given) for run in (unroll, plain_unroll)]
    )(*given)
    small, tolerance = (1e-6, 1e-5) if inputs.dtype == jnp.float64 else (1e-2, 2e-2)

    leaves = jax.tree.leaves_with_path(given)
    generator = np.random.default_rng(1)
    direction = jax.tree.map(lambda leaf: _noise(generator, leaf), given)

    @jax.jit
    def slopes(given: PyTree, direction: PyTree) -> Array:
        """Returns the slopes along the direction within each leaf, with the other leaves fixed."""

        def at(leaf_and_distance: tuple[Array, Array]) -> Array:
            number, distance = leaf_and_distance
            parts = zip(jax.tree.leaves(given), jax.tree.leaves(direction), strict=True)
            moved = [x + jnp.where(i == number, distance, 0).astype(x.dtype) * d for i, (x, d) in enumerate(parts)]
            return function(*jax.tree.unflatten(jax.tree.structure(given), moved))

        numbers = jnp.repeat(jnp.arange(len(leaves)), 2)
        distances = jnp.tile(jnp.array([small, -small]), len(leaves))
        ends = jax.lax.map(at, (numbers, distances)).reshape(-1, 2)
        return (ends[:, 0] - ends[:, 1]) / (2 * small)

    columns = (leaves, *map(jax.tree.leaves, (found, plain, direction)), slopes(given, direction))
    for (path, _), gradient, by_plain, along, expected in zip(*columns, strict=True):
        what = ("parameter ", "the inputs", "the first carry")[path[0].idx]
        what += jax.tree_util.keystr(path[1:], simple=True, separator=".") if path[0].idx != 1 else ""
        slope = jnp.vdot(gradient, along)
        _require(
            _close(gradient, by_plain),
            name,
            f"the unroll's own gradient with respect to {what} differs from that of a plain lax.scan: {THROUGH_GATES}",
        )
        _require(
            _close(slope, expected, tolerance),
            name,
            f"the gradient with respect to {what} is {slope:.6g} along a direction where finite differences give "
            f"{expected:.6g}: look for stop_gradient, rounding, or a custom gradient in the step",
        )
    return found[0]


def _check_gates(name: str, cell: GatedCell, gradient: PyTree) -> None:
    """Checks that every gate has an effect: a gate without one has a zero gradient."""
    parts = (
        ("kernel", cell.blocks, "gate {!r} is declared, but no state and no output depends on it: use it or drop it"),
        (
            "recurrent_kernel",
            cell.recurrent,
            "gate {!r} is declared to see h, but its step leaves out from_state: use it, or declare it with "
            "recurrent=False",
        ),
    )
    for parameter, gates, message in parts:
        blocks = jnp.split(gradient[parameter], len(gates), axis=-1) if gates else []
        for gate, block in zip(gates, blocks, strict=True):
            _require(block.any(), name, message.format(gate))


def _check_retention(name: str, cell: GatedCell, inputs: Array, carry: PyTree) -> None:
    """Checks that the factors are the slopes of a step when all gates are held constant."""
    _, values = cell.observe(carry, inputs[0])
    kept = cell.retention(Gates(values))
    unknown = set(kept) - set(cell.states)
    _require(
        not unknown, name, f"retention: {sorted(unknown)} are none of its states, which are {', '.join(cell.states)}"
    )

    def held(gate: str, value: Array) -> Array | Drive:
        if not cell.gates[gate].deferred:
            return value
        zeros = jnp.zeros_like(value)
        return Drive(gate, zeros, lambda _: zeros, lambda _: value, cell.hidden_features)

    gates = {gate: held(gate, value) for gate, value in values.items()}
    for state, factor in kept.items():
        number = cell.states.index(state)

        def flat(moved: Array, number: int = number) -> Array:
            states = (*carry[:number], moved.reshape(carry[number].shape), *carry[number + 1 :])
            return cell.combine(gates, states)[number].ravel()

        slope = jnp.diagonal(jax.jacfwd(flat)(carry[number].ravel())).reshape(carry[number].shape)
        _require(
            _close(factor, slope),
            name,
            f"retention: with all gates held, the slope of the new {state} by the last is {slope[0]} (first example), "
            f"but the factor given is {factor[0]}",
        )


def _check_population(name: str, cell: nnx.RNNCellBase, inputs: Array, carry: PyTree, alone: PyTree) -> None:
    population = jax.tree.map(lambda leaf: jnp.stack([0.5 * leaf, leaf]), nnx.to_pure_dict(nnx.state(cell, nnx.Param)))
    gradient = jax.grad(_scalar(cell, unroll))
    together = jax.jit(jax.vmap(gradient, (0, None, None)))(population, inputs, carry)
    _require(
        _close(jax.tree.map(lambda leaf: leaf[1], together), alone),
        name,
        "a member of a population (its parameters mapped by jax.vmap) differs from the same member alone",
    )


def _check_recall(name: str, make_cell: Callable[..., nnx.RNNCellBase], training_steps: int) -> None:
    """Checks that a cell with a readout can be trained to recall the sign of the first input after noise."""
    rngs = nnx.Rngs(0)
    network = (make_cell(FEATURES, RECALL_HIDDEN, rngs=rngs), nnx.Linear(RECALL_HIDDEN, 1, rngs=rngs))
    graphdef, params, *others = nnx.split(network, nnx.Param, ...)
    optimizer = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(LEARNING_RATE))

    def loss(params: PyTree, key: PRNGKeyArray) -> tuple[Array, Array]:
        """Returns the loss of a new batch, and the fraction of correct answers in it."""
        bit_key, noise_key = jax.random.split(key)
        bits = jax.random.rademacher(bit_key, (RECALL_BATCH,), jnp.float32)
        noise = jax.random.normal(noise_key, (RECALL_STEPS, RECALL_BATCH))
        cue = jnp.zeros_like(noise).at[0].set(bits)
        cell, readout = nnx.merge(graphdef, params, *others)
        _, outputs = unroll(cell, jnp.stack([cue, 0.3 * noise], axis=-1))
        margin = bits * readout(outputs[-1])[:, 0]
        return jnp.mean(jax.nn.softplus(-margin)), jnp.mean((margin > 0).astype(jnp.float32))

    def step(state: tuple[PyTree, optax.OptState], key: PRNGKeyArray) -> tuple[tuple[PyTree, optax.OptState], Array]:
        params, memory = state
        gradient, right = jax.grad(loss, has_aux=True)(params, key)
        updates, memory = optimizer.update(gradient, memory, params)
        return (optax.apply_updates(params, updates), memory), right

    @jax.jit
    def train(params: PyTree) -> Array:
        keys = jax.random.split(jax.random.key(4), training_steps)
        return jax.lax.scan(step, (params, optimizer.init(params)), keys)[1]

    with jax.numpy_dtype_promotion("standard"):  # optax does not work with strict promotion
        accuracy = float(train(params)[-training_steps // 10 :].mean())
    _require(
        accuracy > 0.95,
        name,
        f"it did not learn to recall its first input after {RECALL_STEPS} steps: accuracy {accuracy:.2f} at the end of "
        f"{training_steps} steps of training (chance 0.50): the state must reach the next step and the output, at a "
        "scale that neither dies nor explodes from the start",
    )
