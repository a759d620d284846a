"""Checks that a task can be solved, and that no shortcut solves it."""

from collections.abc import Callable, Collection

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, PRNGKeyArray, PyTree, Shaped

from rnnbench.tasks.base import Example, Task

TEST_SIZE = 256
WINDOW = 4
WIDTH = 64
STEPS = 400
BATCH = 64
LEARNING_RATE = 0.01

Answer = Callable[[Shaped[np.ndarray, "..."]], Float[np.ndarray, "..."]]
"""Returns the outputs for the inputs of one example: at every step, or at the last one if only that is scored."""


def check_oracle(task: Task, answer: Answer) -> dict[str, float]:
    """Checks that a program which sees only the inputs solves a task, and returns its summary of the test set.

    Args:
        task: the task.
        answer: the program. It is given the inputs of one example without its padded steps.

    Raises:
        AssertionError: its answers do not count as solved.
    """
    test = jax.tree.map(np.asarray, task.test_set(TEST_SIZE))
    size, length = test.mask.shape
    outputs = np.zeros((size, *task.output_shape(length)), np.float32)
    for number, mask in enumerate(test.mask):
        found = answer(test.inputs[number][mask])
        outputs[number, ...] = found if task.last_step_only else np.pad(found, ((0, length - len(found)), (0, 0)))
    summary = _summary(task, jnp.asarray(outputs), test)
    if not task.solved(summary):
        raise AssertionError(f"{type(task).__name__}: these answers do not count as solved: {summary}")
    return summary


def check_shortcuts(task: Task, solved_by: Collection[str] = ()) -> dict[str, dict[str, float]]:
    """Checks that models without a memory for order do not solve a task, and returns their summaries of the test set.

    Each is a small network that is trained on the task and sees, at each step, no more than this:

    - "bag": the input, and the sum of all inputs up to it (how often each symbol came);
    - "window": the last four inputs;
    - "position": the number of the step.

    Args:
        task: the task.
        solved_by: the shortcuts that are known to solve the task, because it asks for no more than they see.

    Raises:
        AssertionError: another one solves it, or one of these does not.
    """
    summaries = {name: _train(task, see) for name, see in SHORTCUTS.items()}
    for name, summary in summaries.items():
        if task.solved(summary) != (name in solved_by):
            verb = "solves" if name not in solved_by else "does not solve"
            raise AssertionError(f"{type(task).__name__}: the shortcut {name!r} {verb} the task: {summary}")
    return summaries


def _bag(inputs: Float[Array, "time features"]) -> Float[Array, "time seen"]:
    return jnp.concatenate([inputs, jnp.cumsum(inputs, axis=0)], axis=-1)


def _window(inputs: Float[Array, "time features"]) -> Float[Array, "time seen"]:
    padded = jnp.pad(inputs, ((WINDOW - 1, 0), (0, 0)))
    return jnp.concatenate([padded[i : i + len(inputs)] for i in range(WINDOW)], axis=-1)


def _position(inputs: Float[Array, "time features"]) -> Float[Array, "time seen"]:
    return jnp.eye(len(inputs))


SHORTCUTS = {"bag": _bag, "window": _window, "position": _position}


def _train(task: Task, see: Callable[[Array], Array]) -> dict[str, float]:
    """Returns the summary of a network that is trained on what it sees of each example."""

    def seen(example: Example) -> Float[Array, "*time seen"]:
        inputs = example.inputs if task.vocab_size is None else jax.nn.one_hot(example.inputs, task.vocab_size)
        whole = see(jnp.where(example.mask[:, None], inputs, 0.0))
        return whole[jnp.sum(example.mask) - 1] if task.last_step_only else whole

    def outputs(params: PyTree, example: Example) -> Float[Array, "*time out"]:
        x = seen(example)
        # A longer test set has more positions than training: they are not known.
        x = x[..., : params["in"].shape[0]]
        return jnp.tanh(x @ params["in"] + params["bias"]) @ params["out"] + params["out_bias"]

    optimizer = optax.adam(LEARNING_RATE)

    def step(state: PyTree, key: PRNGKeyArray) -> tuple[PyTree, None]:
        params, memory = state
        batch = jax.vmap(task.example)(jax.random.split(key, BATCH))
        gradient = jax.grad(lambda p: jnp.mean(jax.vmap(lambda e: task.loss(outputs(p, e), e))(batch)))(params)
        updates, memory = optimizer.update(gradient, memory)
        return (optax.apply_updates(params, updates), memory), None

    width = jax.eval_shape(lambda: seen(task.example(jax.random.key(0)))).shape[-1]
    in_key, out_key, data_key = jax.random.split(jax.random.key(0), 3)
    params = {
        "in": jax.random.normal(in_key, (width, WIDTH)) / np.sqrt(width),
        "bias": jnp.zeros(WIDTH),
        "out": jax.random.normal(out_key, (WIDTH, task.out_features)) / np.sqrt(WIDTH),
        "out_bias": jnp.zeros(task.out_features),
    }
    # optax does not work with strict promotion.
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        train = jax.jit(lambda state: jax.lax.scan(step, state, jax.random.split(data_key, STEPS))[0])
        params, _ = train((params, optimizer.init(params)))
        test = task.test_set(TEST_SIZE)
        return _summary(task, jax.jit(jax.vmap(outputs, in_axes=(None, 0)))(params, test), test)


def _summary(task: Task, outputs: Array, test: Example) -> dict[str, float]:
    metrics, losses = jax.jit(jax.vmap(lambda o, e: (task.metrics(o, e), task.loss(o, e))))(outputs, test)
    summary = task.summary(jax.tree.map(np.asarray, metrics), jax.tree.map(np.asarray, test))
    return summary | {"loss": float(np.mean(losses))}
