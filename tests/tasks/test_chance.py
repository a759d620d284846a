"""Chance levels of the tasks with symbols, each computed in another way than in the task."""

import itertools
import math
from collections import Counter

import jax
import numpy as np
import pytest

from rnnbench import tasks
from rnnbench.tasks.bins import bin_ends, reach


def over_bins(ends: tuple[int, ...], value) -> float:
    """Returns the mean over bins of the mean over the lengths of a bin."""
    return float(np.mean([np.mean([value(n) for n in range(a + 1, b + 1)]) for a, b in itertools.pairwise(ends)]))


def test_bins_double() -> None:
    assert bin_ends(1, 20) == (0, 2, 4, 8, 16, 20)
    assert bin_ends(2, 16) == (1, 2, 4, 8, 16)
    assert bin_ends(5, 6) == (4, 6)
    assert bin_ends(3, 8) == (2, 4, 8)
    right, at = np.array([1.0, 1, 0.5, 1]), np.array([1, 3, 7, 16])
    assert reach(right, at, (0, 2, 4, 8, 16), 0.9) == 4
    assert reach(right, at, (0, 2, 4, 8, 16), 0.5) == 16
    assert reach(right, at, (2, 4), 0.9) == 4
    assert reach(right, at, (17, 20), 0.9) == 0


def test_walks_are_enumerated() -> None:
    task = tasks.CycleNavigation(length=4, test_length=7)

    def best(length: int) -> float:
        ends = Counter(sum(moves) % 5 for moves in itertools.product((-1, 0, 1), repeat=length))
        return max(ends.values()) / 3**length

    assert task.chance()["accuracy"] == pytest.approx(over_bins((0, 2, 4, 7), best))


def test_expressions_are_enumerated() -> None:
    task = tasks.ModularArithmetic(length=4, test_length=6, modulus=3)

    def best(length: int) -> float:
        places = [*["012", "+-*"] * ((length + 1) // 2 - 1), "012"]
        values = Counter(eval("".join(expression)) % 3 for expression in itertools.product(*places))
        return max(values.values()) / values.total()

    assert task.chance()["accuracy"] == pytest.approx(over_bins((0, 2, 4, 6), best))


def bracketed(operations: int) -> list[tuple[int, float]]:
    """Returns the value of every expression modulo 2, with its probability."""
    if operations == 0:
        return [(0, 0.5), (1, 0.5)]
    found = []
    for first in range(operations):
        pairs = itertools.product(bracketed(first), bracketed(operations - 1 - first))
        for (a, p), (b, q) in pairs:
            found += [(value % 2, p * q / 3 / operations) for value in (a + b, a - b, a * b)]
    return found


def test_bracketed_expressions_are_enumerated() -> None:
    task = tasks.ModularArithmetic(length=9, test_length=9, modulus=2, brackets=True)

    def best(length: int) -> float:
        values = bracketed((length - 1) // 4)
        return max(sum(p for value, p in values if value == which) for which in (0, 1))

    assert task.chance()["accuracy"] == pytest.approx(over_bins((0, 2, 4, 8, 9), best))


def test_strings_with_n_of_1_are_counted() -> None:
    assert tasks.Counting(length=9, test_length=32).chance()["all_right"] == pytest.approx(
        np.mean([1, 0, 0, 0])  # 3-4 holds n = 1 alone; 5-8, 9-16, 17-32
    )
    three = tasks.Counting(length=13, test_length=16, letters=3)
    assert three.chance()["all_right"] == pytest.approx(np.mean([1, 2 / 4, 0]))  # 4; 5 to 8, of which 5 and 6; 9-16


@pytest.mark.parametrize("shuffled", [False, True])
def test_a_model_of_the_last_bracket_alone(shuffled: bool) -> None:
    """After an opening bracket, its own may close; after a closing one, none: right if no bracket is nested."""
    task = tasks.Dyck(length=8, test_length=16, kinds=2, depth=3, shuffled=shuffled)
    test = jax.tree.map(np.asarray, task.test_set(4000))
    may_follow = {0: [1, 1, 1, 0], 1: [1, 0, 1, 0], 2: [1, 0, 1, 1], 3: [1, 0, 1, 0]}
    answers = np.array([may_follow[token] for token in range(4)], bool)[test.inputs]
    right = ((answers == test.targets).all(axis=2) | ~test.mask).all(axis=1)
    assert right.mean() == pytest.approx(task.chance()["all_right"], abs=0.02)


def test_order_statistics_are_simulated() -> None:
    task = tasks.Sorting(symbols=5, alphabet=4)
    numbers = np.sort(np.random.default_rng(0).integers(0, 4, (40_000, 5)), axis=1)
    shares = np.stack([np.bincount(column, minlength=4) for column in numbers.T]) / len(numbers)
    chance = task.chance()
    assert chance["accuracy"] == pytest.approx(shares.max(axis=1).mean(), abs=0.01)
    assert chance["loss"] == pytest.approx(-np.mean(np.sum(shares * np.log(shares), axis=1)), abs=0.01)


def test_a_guesser_of_repeated_symbols_is_simulated() -> None:
    """Knows the length of the answer, and names a symbol at random until the full stop."""
    task = tasks.RepeatCopy(symbols=3, repeats=4, alphabet=5)
    random = np.random.default_rng(0)
    scores = []
    for _ in range(20_000):
        length = random.integers(1, 4) * random.integers(1, 5)
        scores.append(np.mean([*(random.integers(0, 5, length) == 0), True]))
    assert task.chance()["accuracy"] == pytest.approx(np.mean(scores), abs=0.01)


def test_evenly_distributed_answers() -> None:
    for task, answers in (
        (tasks.Permutations(length=3, test_length=4, group="A5"), 60),
        (tasks.Permutations(length=3, test_length=4, group="S5"), 120),
        (tasks.TemporalOrder(length=20, relevant=3), 8),
        (tasks.Reverse(symbols=3, alphabet=7), 7),
        (tasks.Parity(length=4, test_length=9), 2),
    ):
        assert task.chance() == pytest.approx({"accuracy": 1 / answers, "loss": math.log(answers)})


def test_products_of_permutations_are_evenly_distributed() -> None:
    task = tasks.Permutations(length=6, test_length=6, group="A4")
    drawn = jax.vmap(task.example)(jax.random.split(jax.random.key(0), 12_000))
    for step in (0, 2):
        counts = np.bincount(np.asarray(drawn.targets[:, step])[np.asarray(drawn.mask[:, step])], minlength=12)
        np.testing.assert_allclose(counts / counts.sum(), 1 / 12, atol=0.012)


def test_facts_are_counted() -> None:
    task = tasks.Memorization(length=4, keys=20, values=3)
    drawn = jax.vmap(task.example)(jax.random.split(jax.random.key(0), 5000))
    shares = np.bincount(np.asarray(drawn.targets).ravel(), minlength=3) / 20_000
    assert task.chance()["accuracy"] == pytest.approx(shares.max(), abs=0.02)
    assert task.chance()["loss"] == pytest.approx(-np.sum(shares * np.log(shares)), abs=0.02)


def test_lags_with_numbers() -> None:
    """The variance of the target, which predicting its mean leaves."""
    task = tasks.Multiplication(length=40)
    targets = np.asarray(jax.vmap(task.example)(jax.random.split(jax.random.key(0), 40_000)).targets)
    assert task.chance()["mse"] == pytest.approx(targets.var(), rel=0.03)
    large = tasks.Multiplication(length=100_000).chance()["mse"]
    # The first pair is the first of ten that may be marked, so one in ten has a value of 1.
    assert large == pytest.approx(0.1 / 3 + 0.9 / 9 - (0.05 + 0.225) ** 2, abs=1e-3)
    assert pytest.approx(1 / 9 - 1 / 16) == 7 / 144


def test_the_variance_of_faded_sums_is_simulated() -> None:
    for length in (2, 9):
        task = tasks.IrregularAdding(length=length)
        targets = np.asarray(jax.vmap(task.example)(jax.random.split(jax.random.key(0), 100_000)).targets)
        assert task.chance()["mse"] == pytest.approx(targets.var(), rel=0.02)


@pytest.mark.parametrize("noisy", [False, True])
def test_two_sequences(noisy: bool) -> None:
    task = tasks.TwoSequence(length=20, noisy_targets=noisy)
    targets = np.asarray(task.test_set(4000).targets)
    assert task.chance()["mse"] == pytest.approx(targets.var(), rel=0.03)
    trained = np.asarray(jax.vmap(task.example)(jax.random.split(jax.random.key(0), 8000)).targets)
    assert trained.var() == pytest.approx(targets.var() + (0.1 if noisy else 0), rel=0.05)
