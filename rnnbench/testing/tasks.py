"""Contract checks for tasks."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

from rnnbench.tasks.base import Example, Outputs, Task
from rnnbench.tasks.sentences import SentenceTask

EXAMPLES = 64
TEST_SIZE = 512
FIT_STEPS = 200
LEARNING_RATE = 0.05
STANDARD_ERRORS = 4.0


def check_task(task: Task) -> None:
    """Checks that a task keeps its contract. Call it in a test of your own:

        def test_contract():
            check_task(MyTask(length=10))

    It checks that:

    - the same key draws the same example and different keys draw different ones, also under `jax.jit` and `jax.vmap`;
    - inputs, targets and mask have the right shapes, types and ranges;
    - the loss and its gradient are finite and do not depend on padded steps;
    - the score is one of the metrics, every name in `breakdowns` is in `info`, and the mean of the answers' scores, if
      there are any, is that of the example;
    - the test set is the same at every call;
    - outputs that ignore the inputs do not beat `chance()`, and do not count as solved;
    - the sentences of a `SentenceTask` match its inputs.

    Use small sizes, because the check trains outputs that ignore the inputs.

    Raises:
        AssertionError: the task breaks its contract; the message says what to fix.
    """
    _check_attributes(task)
    batch = _check_drawing(task)
    _check_inputs(task, batch)
    _check_targets(task, batch)
    _check_loss(task, batch)
    _check_metrics(task, batch)
    _check_chance(task, _check_fixed_sets(task))
    if isinstance(task, SentenceTask):
        _check_sentences(task)


def _require(condition: object, task: Task, message: str) -> None:
    if not condition:
        raise AssertionError(f"{type(task).__name__}: {message}")


def _check_attributes(task: Task) -> None:
    for name in ("length", "out_features", "score", "score_goal"):
        _require(hasattr(task, name), task, f"set the attribute `{name}`")
    _require(task.score_goal in ("max", "min"), task, f"score_goal: expected 'max' or 'min', got {task.score_goal!r}")


def _check_drawing(task: Task) -> Example:
    """Checks how examples are drawn, and returns a batch of them."""
    keys = jax.random.split(jax.random.key(0), EXAMPLES)
    try:
        batch = jax.jit(jax.vmap(task.example))(keys)
    except jax.errors.JAXTypeError as error:
        raise AssertionError(
            f"{type(task).__name__}: example(key) cannot be compiled: its shapes and its Python control flow must "
            f"not depend on what it draws ({type(error).__name__})"
        ) from error
    _require(
        isinstance(batch, Example),
        task,
        f"example(key): expected an rnnbench.tasks.Example, got {type(batch).__name__}",
    )
    one = jax.jit(task.example)(keys[0])
    _require(
        _same(one, jax.tree.map(lambda leaf: leaf[0], batch)),
        task,
        "example(key) alone and under jax.vmap drew different examples from one key: take all randomness from the key",
    )
    drawn = [np.asarray(leaf) for leaf in jax.tree.leaves((batch.inputs, batch.targets))]
    _require(
        any(np.any(leaf != leaf[:1]) for leaf in drawn), task, f"{EXAMPLES} keys drew the same example: use the key"
    )
    return batch


def _same(a: PyTree, b: PyTree) -> bool:
    """Returns whether two pytrees agree up to rounding, which may differ between separately compiled programs."""
    leaves_a, leaves_b = jax.tree.leaves(a), jax.tree.leaves(b)
    return len(leaves_a) == len(leaves_b) and all(
        x.shape == y.shape and x.dtype == y.dtype and np.allclose(x, y, rtol=1e-5, atol=1e-6, equal_nan=True)
        for x, y in zip(leaves_a, leaves_b, strict=True)
    )


def _check_inputs(task: Task, batch: Example) -> None:
    inputs, mask = np.asarray(batch.inputs), np.asarray(batch.mask)
    ids = inputs.shape[2:3]  # none, or several at each step
    shape = (EXAMPLES, task.length, *(ids if task.vocab_size else (task.in_features,)))
    _require(
        inputs.shape == shape, task, f"inputs: expected the shape {shape[1:]} for an example, got {inputs.shape[1:]}"
    )
    _require(
        np.issubdtype(inputs.dtype, np.integer if task.vocab_size else np.floating),
        task,
        f"inputs: expected {'features (floating point)' if task.vocab_size is None else 'token ids (integers)'}, "
        f"got {inputs.dtype}; `vocab_size` is {task.vocab_size}",
    )
    if task.vocab_size is None:
        _require(np.isfinite(inputs).all(), task, "inputs: some are not finite")
    else:
        _require(
            inputs.min() >= 0 and inputs.max() < task.vocab_size,
            task,
            f"inputs: expected ids from 0 to vocab_size - 1 = {task.vocab_size - 1}, "
            f"got {inputs.min()} to {inputs.max()}",
        )
    _require(
        mask.shape == (EXAMPLES, task.length) and mask.dtype == bool,
        task,
        f"mask: expected bool of shape ({task.length},), got {mask.dtype} of shape {mask.shape[1:]}",
    )
    _require(mask[:, 0].all(), task, "mask: the first step of every example must be real (True)")
    _require(
        (mask[:, :-1] | ~mask[:, 1:]).all(), task, "mask: padding (False) must stand at the end, after all real steps"
    )


def _check_targets(task: Task, batch: Example) -> None:
    if task.out_features == 1:
        highest, allowed = 1, "0 to 1 for a single logit"
    else:
        highest, allowed = task.out_features - 1, f"0 to out_features - 1 = {task.out_features - 1}"
    for leaf in map(np.asarray, jax.tree.leaves(batch.targets)):
        if np.issubdtype(leaf.dtype, np.integer):
            _require(
                leaf.min() >= 0 and leaf.max() <= highest,
                task,
                f"targets: expected classes from {allowed}, got {leaf.min()} to {leaf.max()}",
            )
        else:
            _require(np.isfinite(leaf).all(), task, "targets: some are not finite")


def _some_outputs(task: Task) -> Float[Array, "..."]:
    """Returns outputs for a batch, as an untrained model might compute them."""
    return jax.random.normal(jax.random.key(1), (EXAMPLES, *task.output_shape(task.length)))


def _check_loss(task: Task, batch: Example) -> None:
    functions: dict[str, Callable[[Outputs, Example], Array]] = {"loss": task.loss, "probe_loss": task.probe_loss}
    for name, loss in functions.items():
        values, gradient = jax.jit(jax.vmap(jax.value_and_grad(loss)))(_some_outputs(task), batch)
        _require(np.isfinite(values).all(), task, f"{name}: not finite for ordinary outputs")
        _require(np.isfinite(gradient).all(), task, f"{name}: its gradient is not finite for ordinary outputs")
        _require(np.any(gradient), task, f"{name}: its gradient is zero, it does not depend on the outputs")
        if not task.last_step_only:
            _require(
                not np.any(np.asarray(gradient)[~np.asarray(batch.mask)]),
                task,
                f"{name}: depends on the outputs of padded steps; leave out where the mask is False",
            )


def _check_metrics(task: Task, batch: Example) -> None:
    metrics = jax.jit(jax.vmap(task.metrics))(_some_outputs(task), batch)
    names = ", ".join(metrics)
    _require(task.score in metrics, task, f"metrics: the score {task.score!r} is not among them ({names})")
    for name, values in metrics.items():
        _require(
            values.shape == (EXAMPLES,) and np.issubdtype(values.dtype, np.floating),
            task,
            f"metrics: {name!r} must be one floating point number an example, "
            f"got {values.dtype} of shape {values.shape[1:]}",
        )
        _require(np.isfinite(values).all(), task, f"metrics: {name!r} is not finite for ordinary outputs")
    for name in task.breakdowns:
        _require(name in batch.info, task, f"breakdowns: {name!r} is not in info ({', '.join(batch.info) or 'empty'})")
        _require(
            np.issubdtype(batch.info[name].dtype, np.integer),
            task,
            f"breakdowns: {name!r} must be an integer in info, got {batch.info[name].dtype}",
        )
    by_answer = {name: batch.info[name].shape for name in task.breakdowns if batch.info[name].ndim > 1}
    if by_answer:
        _require(
            type(task).answer_scores is not Task.answer_scores,
            task,
            f"breakdowns: {next(iter(by_answer))!r} differs between the answers of an example, so define answer_scores",
        )
        answers = jax.jit(jax.vmap(task.answer_scores))(_some_outputs(task), batch)
        for name, shape in by_answer.items():
            _require(
                answers.shape == shape,
                task,
                f"answer_scores: expected {shape[1:]}, as {name!r} in info, got {answers.shape[1:]}",
            )
        _require(
            np.allclose(answers.mean(axis=1), metrics[task.score], atol=1e-5),
            task,
            f"answer_scores: their mean is not the score {task.score!r}",
        )


def _check_fixed_sets(task: Task) -> Example:
    """Checks the test set and the probe set, and returns the test set."""
    test = task.test_set(TEST_SIZE)
    _require(
        _same(test, task.test_set(TEST_SIZE)), task, "test_set: two calls gave different examples; it must be fixed"
    )
    trained = jax.eval_shape(task.example, jax.random.key(0))
    for name, fixed in {"test_set": test, "probe_set": task.probe_set(EXAMPLES)}.items():
        sizes = {leaf.shape[:1] for leaf in jax.tree.leaves(fixed)}
        _require(
            len(sizes) == 1 and sizes not in ({()}, {(0,)}),
            task,
            f"{name}: every leaf needs the same leading axis of examples",
        )
        # Sequences may be longer than in training, if the whole set is.
        steps = fixed.mask.shape[-1]
        expected = jax.tree.map(
            lambda leaf, steps=steps: jax.ShapeDtypeStruct(
                (steps, *leaf.shape[1:]) if leaf.shape[:1] == (task.length,) else leaf.shape, leaf.dtype
            ),
            trained,
        )
        one = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype), fixed)
        _require(one == expected, task, f"{name}: its examples differ in shape or type from those of example(key)")
    return test


def _check_chance(task: Task, test: Example) -> None:
    chance = task.chance()
    _require(task.score in chance, task, f"chance: give the chance level of the score {task.score!r}")
    outputs = _fit_blind_outputs(task)
    if not task.last_step_only:  # and beyond the steps of training, as at their end
        longer = (0, test.mask.shape[-1] - len(outputs))
        outputs = jnp.pad(outputs, (longer, *[(0, 0)] * (outputs.ndim - 1)), mode="edge")
    score = jax.jit(jax.vmap(lambda example: (task.metrics(outputs, example), task.loss(outputs, example))))
    metrics, losses = jax.tree.map(np.asarray, score(test))
    summary = task.summary(metrics, jax.tree.map(np.asarray, test))
    known = ", ".join(["loss", *summary])
    for name in chance:
        _require(name == "loss" or name in summary, task, f"chance: there is no metric {name!r}; there are {known}")
    for name, values, goal in (
        (task.score, metrics[task.score], task.score_goal),
        *([("loss", losses, "min")] if "loss" in chance else []),
    ):
        reached = float(np.mean(values)) if name == "loss" else summary[name]
        noise = STANDARD_ERRORS * float(np.std(values)) / np.sqrt(len(values)) + 1e-3 * abs(chance[name])
        better = reached - chance[name] if goal == "max" else chance[name] - reached
        _require(
            better <= noise,
            task,
            f"chance: outputs that do not look at the inputs reach {name} {reached:.4g} on the test set, better than "
            f"the chance level {chance[name]:.4g}: either the level is wrong or the answers are not balanced",
        )
    _require(
        not task.solved(summary | {"loss": float(np.mean(losses))}),
        task,
        "solved: outputs that do not look at the inputs count as solved",
    )


def _check_sentences(task: SentenceTask) -> None:
    inputs, mask, words = task.traced_sentences()
    shape = (len(words), task.length)
    _require(
        inputs.shape == mask.shape == shape,
        task,
        f"traced_sentences: expected inputs and mask of shape {shape} for {len(words)} lists of words, "
        f"got {inputs.shape} and {mask.shape}",
    )
    for number, (own, steps) in enumerate(zip(words, mask.sum(axis=1).tolist(), strict=True)):
        _require(
            len(own) == steps,
            task,
            f"traced_sentences: sentence {number} has {len(own)} words, but its mask is True at {steps} steps",
        )

    def predict(inputs: Array, mask: Array) -> Array:
        return jax.random.normal(jax.random.key(3), (*mask.shape, task.out_features))

    for completion in task.showcase(predict):
        _require(
            0 <= completion.probability <= 1,
            task,
            f"showcase: expected a probability, got {completion.probability} for {completion.continuation!r}",
        )


def _fit_blind_outputs(task: Task) -> Outputs:
    """Returns the outputs, the same for every example, that minimise the training loss."""
    optimizer = optax.adam(LEARNING_RATE)

    def step(state: tuple[Array, optax.OptState], key: PRNGKeyArray) -> tuple[tuple[Array, optax.OptState], None]:
        outputs, memory = state
        batch = jax.vmap(task.example)(jax.random.split(key, EXAMPLES))
        gradient = jax.grad(lambda o: jnp.mean(jax.vmap(task.loss, in_axes=(None, 0))(o, batch)))(outputs)
        updates, memory = optimizer.update(gradient, memory)
        return (optax.apply_updates(outputs, updates), memory), None

    @jax.jit
    def fit(key: PRNGKeyArray) -> Array:
        outputs = 0.01 * jax.random.normal(key, task.output_shape(task.length))  # so that no two classes tie
        state = (outputs, optimizer.init(outputs))
        return jax.lax.scan(step, state, jax.random.split(key, FIT_STEPS))[0][0]

    with jax.numpy_dtype_promotion("standard"):  # optax does not work with strict promotion
        return fit(jax.random.key(2))
