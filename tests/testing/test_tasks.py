"""`check_task` accepts a sound task, and names the fault in each broken task."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from rnnbench.cells import GRU
from rnnbench.model import Model
from rnnbench.tasks import Completion, SentenceTask, TracedSentences
from rnnbench.tasks.base import Example, Task
from rnnbench.testing import check_task
from rnnbench.training.step import Structure, init_state, train_step
from tests.helpers import optax_promotion


class Recall(Task):
    """Recall the first of several coin tosses. This task is sound; each task below breaks it in one place."""

    length = 3
    vocab_size = 2
    out_features = 2
    last_step_only = True
    score = "accuracy"
    score_goal = "max"
    breakdowns = ("distance",)

    def example(self, key):
        throws = jax.random.bernoulli(key, shape=(3,)).astype(jnp.int32)
        return Example(throws, throws[0], jnp.ones(3, bool), {"distance": jnp.int32(3)})

    def loss(self, outputs, example):
        return optax.softmax_cross_entropy_with_integer_labels(outputs, example.targets)

    def metrics(self, outputs, example):
        return {"accuracy": jnp.float32(jnp.argmax(outputs) == example.targets)}

    def chance(self):
        return {"loss": float(np.log(2)), "accuracy": 0.55}  # the test set is a finite sample, so not exactly 0.5

    def solved(self, summary):
        return summary["accuracy"] > 0.99


def test_a_sound_task_passes():
    check_task(Recall())


def changed(**fields):
    """Returns `Recall` with some fields of its examples replaced."""

    class Changed(Recall):
        def example(self, key):
            return super().example(key)._replace(**{name: value(key) for name, value in fields.items()})

    return Changed


def overridden(**methods):
    return type("Overridden", (Recall,), methods)


def by_answer(scores):
    """Returns `Recall` with two distances for its answers, which `scores` scores."""
    return type("ByAnswer", (changed(info=lambda key: {"distance": jnp.int32([1, 3])}),), {"answer_scores": scores})


draws = np.random.default_rng(0)

BROKEN = {
    "example.* different examples from one key: take all randomness from the key": changed(
        inputs=lambda key: jnp.array(draws.integers(0, 2, 3), jnp.int32)
    ),
    "64 keys drew the same example": changed(
        inputs=lambda key: jnp.zeros(3, jnp.int32), targets=lambda key: jnp.int32(0)
    ),
    "cannot be compiled": changed(inputs=lambda key: jnp.zeros(int(jax.random.randint(key, (), 1, 4)), jnp.int32)),
    r"inputs: expected the shape \(3,\) for an example, got \(4,\)": changed(
        inputs=lambda key: jax.random.bits(key, (4,))
    ),
    r"inputs: expected token ids \(integers\), got float32": changed(inputs=lambda key: jax.random.uniform(key, (3,))),
    "inputs: expected ids from 0 to vocab_size - 1 = 1, got .* to 5": changed(
        inputs=lambda key: jax.random.randint(key, (3,), 0, 6)
    ),
    "mask: padding .* must stand at the end": changed(mask=lambda key: jnp.array([True, False, True])),
    "mask: the first step": changed(mask=lambda key: jnp.array([False, False, False])),
    "mask: expected bool": changed(mask=lambda key: jnp.ones(3)),
    "targets: expected classes from 0 to out_features - 1 = 1, got 2 to 2": changed(targets=lambda key: jnp.int32(2)),
    "breakdowns: 'distance' is not in info": changed(info=lambda key: {}),
    "breakdowns: 'distance' must be an integer": changed(info=lambda key: {"distance": jnp.float32(1)}),
    "breakdowns: 'distance' differs between the answers of an example, so define answer_scores": changed(
        info=lambda key: {"distance": jnp.int32([3, 3])}
    ),
    r"answer_scores: expected \(2,\), as 'distance' in info, got \(3,\)": by_answer(
        lambda self, outputs, example: jnp.full(3, self.metrics(outputs, example)["accuracy"])
    ),
    "answer_scores: their mean is not the score 'accuracy'": by_answer(lambda self, outputs, example: jnp.ones(2)),
    "score_goal: expected 'max' or 'min', got 'most'": overridden(score_goal="most"),
    "loss: not finite": overridden(loss=lambda self, outputs, example: jnp.log(-jnp.sum(outputs**2))),
    "loss: its gradient is zero": overridden(loss=lambda self, outputs, example: 0 * jnp.sum(outputs)),
    "metrics: the score 'accuracy' is not among them": overridden(
        metrics=lambda self, outputs, example: {"precision": jnp.sum(outputs)}
    ),
    "metrics: 'accuracy' must be one floating point number": overridden(
        metrics=lambda self, outputs, example: {"accuracy": jnp.argmax(outputs) == example.targets}
    ),
    "test_set: two calls gave different examples": overridden(
        test_set=lambda self, size: jax.vmap(self.example)(jax.random.split(jax.random.key(draws.integers(1000)), size))
    ),
    "probe_set: every leaf needs the same leading axis": overridden(
        probe_set=lambda self, size: self.test_set(size)._replace(info={"distance": jnp.int32([3])})
    ),
    "test_set: its examples differ in shape or type": overridden(
        test_set=lambda self, size: Task.test_set(self, size)._replace(targets=jnp.zeros((size, 1), jnp.int32))
    ),
    "chance: give the chance level of the score": overridden(chance=lambda self: {"loss": 0.69}),
    "chance: there is no metric 'recall'; there are loss, accuracy": overridden(
        chance=lambda self: {"accuracy": 0.55, "recall": 0.5}
    ),
    "do not look at the inputs reach accuracy .* better than the chance level 0.3": overridden(
        chance=lambda self: {"accuracy": 0.3}
    ),
    "reach loss .* better than the chance level 0.9": overridden(chance=lambda self: {"accuracy": 0.55, "loss": 0.9}),
    "solved: outputs that do not look at the inputs count as solved": overridden(solved=lambda self, summary: True),
}


@pytest.mark.parametrize("message", BROKEN)
def test_every_broken_task_is_told_what_to_mend(message):
    with pytest.raises(AssertionError, match=message):
        check_task(BROKEN[message]())


class RecallByOneLogit(Recall):
    """`Recall` with a single output, the logit of 1."""

    out_features = 1

    def loss(self, outputs, example):
        return optax.sigmoid_binary_cross_entropy(outputs[0], jnp.float32(example.targets))

    def metrics(self, outputs, example):
        return {"accuracy": jnp.float32((outputs[0] > 0) == (example.targets == 1))}


def test_a_single_logit_tells_two_classes():
    task = RecallByOneLogit()
    check_task(task)

    graphdef, params = nnx.split(Model(GRU, task, hidden_size=8, embedding_size=4, rngs=nnx.Rngs(0)))
    optimizer = optax.adam(0.03)
    step = functools.partial(
        train_step,
        structure=Structure(graphdef, nnx.State({})),
        task=task,
        optimizer=optimizer,
        batch_size=16,
        steps=60,
    )
    with optax_promotion():
        state = init_state(params, jax.random.key(1), optimizer, {})
        _, scalars = jax.jit(lambda state: jax.lax.scan(lambda state, _: step(state), state, length=60))(state)
    assert scalars["loss"][0] > 0.6, "at first it guesses"
    assert scalars["accuracy"][-1] == 1
    assert scalars["loss"][-1] < 0.1


def test_a_single_logit_tells_no_third_class():
    class Third(RecallByOneLogit):
        def example(self, key):
            return super().example(key)._replace(targets=jax.random.randint(key, (), 0, 3))

    with pytest.raises(AssertionError, match="targets: expected classes from 0 to 1 for a single logit, got 0 to 2"):
        check_task(Third())


class Sentences(Recall, SentenceTask):
    """`Recall` with two sentences for readers."""

    def traced_sentences(self):
        mask = np.array([[True, True, False], [True, True, True]])
        return TracedSentences(np.zeros((2, 3), np.int32), mask, [["heads"] * 2, ["heads"] * 3])

    def showcase(self, predict):
        inputs, mask, _ = self.traced_sentences()
        logits = predict(jnp.asarray(inputs), jnp.asarray(mask))[0, -1]
        return [Completion("heads heads", "heads", float(jax.nn.softmax(logits)[0]), correct=True)]


def test_sound_sentences_pass():
    check_task(Sentences())


@pytest.mark.parametrize(
    ("message", "methods"),
    [
        (
            r"expected inputs and mask of shape \(1, 3\) for 1 lists of words, got \(2, 3\) and \(2, 3\)",
            {"traced_sentences": lambda self: Sentences().traced_sentences()._replace(words=[["heads"] * 2])},
        ),
        (
            "sentence 1 has 2 words, but its mask is True at 3 steps",
            {"traced_sentences": lambda self: Sentences().traced_sentences()._replace(words=[["heads"] * 2] * 2)},
        ),
        (
            "showcase: expected a probability, got -0.5 for 'tails'",
            {"showcase": lambda self, predict: [Completion("heads", "tails", -0.5, correct=False)]},
        ),
    ],
)
def test_sentences_that_do_not_fit_are_named(message, methods):
    with pytest.raises(AssertionError, match=message):
        check_task(type("Unsound", (Sentences,), methods)())


def test_a_loss_over_padded_steps_is_found():
    class Padded(Recall):
        last_step_only = False

        def example(self, key):
            return super().example(key)._replace(mask=jnp.array([True, True, False]))

        def loss(self, outputs, example):
            return jnp.mean(outputs**2)

    with pytest.raises(AssertionError, match="loss: depends on the outputs of padded steps"):
        check_task(Padded())


def test_unbalanced_answers_beat_a_chance_level_that_takes_them_as_balanced():
    class Unbalanced(Recall):
        def example(self, key):
            throws = jnp.int32(jax.random.uniform(key, (3,)) < 0.8)
            return super().example(key)._replace(inputs=throws, targets=throws[0])

    with pytest.raises(AssertionError, match="either the level is wrong or the answers are not balanced"):
        check_task(Unbalanced())
