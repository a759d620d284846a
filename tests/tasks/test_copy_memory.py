import inspect
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnnbench.tasks import CopyMemory
from rnnbench.testing import check_oracle, check_shortcuts, check_task

BLANK, DELIMITER = 0, 9


@pytest.mark.parametrize("task", [CopyMemory(length=4, symbols=2), CopyMemory(length=3, symbols=2, scored="recall")])
def test_contract(task):
    check_task(task)


@pytest.mark.parametrize(
    ("form", "asked"),
    [
        ("standard", [BLANK] * 3 + [DELIMITER] + [BLANK] * 3),
        ("bai", [BLANK] * 3 + [DELIMITER] * 4),
        ("exprnn", [BLANK] * 4 + [DELIMITER] + [BLANK] * 2),
    ],
)
def test_forms_differ_in_the_delimiter_alone(form, asked):
    task = CopyMemory(length=4, symbols=3, form=form)
    example = task.example(jax.random.key(0))
    memory = example.inputs[:3].tolist()
    assert example.inputs[3:].tolist() == asked
    assert example.targets.tolist() == [BLANK] * 7 + memory
    assert task.length == 10
    assert (task.vocab_size, task.out_features) == (10, 9)
    assert example.info["distance"] == 7


def test_a_program_solves_it_and_no_shortcut_does():
    task = CopyMemory(length=4, symbols=3)

    def answer(inputs):
        return np.eye(9)[[*[BLANK] * 7, *inputs[:3]]]

    assert check_oracle(task, answer)["recall_accuracy"] == 1
    check_shortcuts(task)


def test_symbols_are_drawn_evenly():
    task = CopyMemory(length=1)
    batch = jax.vmap(task.example)(jax.random.split(jax.random.key(0), 800))
    counts = np.bincount(np.asarray(batch.inputs[:, :10]).ravel(), minlength=10)
    assert counts[[BLANK, DELIMITER]].tolist() == [0, 0]
    np.testing.assert_allclose(counts[1:9], 1000, atol=150)


def test_a_memory_for_blanks_alone_is_at_chance():
    task = CopyMemory(length=100)
    example = task.example(jax.random.key(0))
    chance = task.chance()
    assert chance["loss"] == pytest.approx(10 * math.log(8) / 120)
    assert round(chance["loss"], 4) == 0.1733
    outputs = jnp.full((120, 9), -100.0)
    outputs = outputs.at[:110, BLANK].set(0.0).at[110:, 1:].set(0.0)
    assert task.loss(outputs, example) == pytest.approx(chance["loss"], rel=1e-5)
    assert task.probe_loss(outputs, example) == pytest.approx(math.log(8), rel=1e-5)
    recall = CopyMemory(length=100, scored="recall")
    assert recall.loss(outputs, example) == pytest.approx(recall.chance()["loss"], rel=1e-5)


def test_recall_accuracy_does_not_count_blanks():
    task = CopyMemory(length=5, symbols=4)
    example = task.example(jax.random.key(0))
    right = jax.nn.one_hot(example.targets, 9)
    blanks_wrong = right.at[: task.distance].set(jax.nn.one_hot(3, 9)[None])
    half = right.at[-2:].set(jax.nn.one_hot(BLANK, 9)[None])
    accuracies = [float(task.metrics(outputs, example)["recall_accuracy"]) for outputs in (right, blanks_wrong, half)]
    assert accuracies == [1.0, 1.0, 0.5]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"length": 0}, "length: expected at least 1, got 0"),
        ({"symbols": 0}, "symbols: expected at least 1, got 0"),
        ({"alphabet": 1}, "alphabet: expected at least 2, got 1"),
        ({"form": "short"}, "form: expected 'standard', 'bai' or 'exprnn', got 'short'"),
        ({"scored": "none"}, "scored: expected 'all' or 'recall', got 'none'"),
    ],
)
def test_impossible_arguments_are_named(arguments, message):
    unchecked = inspect.unwrap(CopyMemory.__init__)  # skips the tests' type checker, like the command line
    with pytest.raises(ValueError, match=message):
        unchecked(object.__new__(CopyMemory), **arguments)
