"""The tasks that read numbers: contracts, oracles and shortcuts."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import numpy as np
import pytest
import scipy.integrate

from rnnbench import tasks
from rnnbench.tasks.base import Task
from rnnbench.tasks.signals.base import TRAINING, Prediction
from rnnbench.testing import check_oracle, check_shortcuts, check_task


def product(inputs: np.ndarray) -> np.ndarray:
    marked = [1.0 if step == 0 else value for step, (value, mark) in enumerate(inputs) if mark == 1]
    if len(marked) < 2:  # the first pair is marked by -1, as it always is
        marked.append(1.0)
    return np.array([np.prod(marked)])


def total(inputs: np.ndarray) -> np.ndarray:
    return np.array([sum(value for value, mark in inputs if mark == 1)])


def total_1997(inputs: np.ndarray) -> np.ndarray:
    return 0.5 + np.array([sum(value for value, mark in inputs if mark == 1)]) / 4


def faded(inputs: np.ndarray) -> np.ndarray:
    values, marks, gaps = inputs.T
    ages = [gaps[step + 1 :].sum() for step in range(len(gaps))]
    return np.array([sum(v * m * np.exp(-age / len(gaps)) for v, m, age in zip(values, marks, ages, strict=True))])


class Case(NamedTuple):
    task: Task
    oracle: Callable[[np.ndarray], np.ndarray]


CASES = {
    "adding": Case(tasks.Adding(length=20), total),
    "adding_1997": Case(tasks.Adding(length=20, form="1997"), total_1997),
    "irregular_adding": Case(tasks.IrregularAdding(length=20), faded),
    "multiplication": Case(tasks.Multiplication(length=20), product),
    "two_sequence": Case(tasks.TwoSequence(length=20, elements=2), lambda inputs: np.float32(inputs[0] > 0)),
    "two_sequence_noisy": Case(
        tasks.TwoSequence(length=20, elements=2, noisy_targets=True), lambda inputs: np.where(inputs[0] > 0, 0.2, 0.8)
    ),
}
each = pytest.mark.parametrize("name", CASES)


@each
def test_contract(name: str) -> None:
    check_task(CASES[name].task)


@each
def test_a_program_that_reads_the_inputs_is_always_right(name: str) -> None:
    task, oracle = CASES[name]
    assert check_oracle(task, oracle)["accuracy"] == 1


@each
def test_no_shortcut_solves_it(name: str) -> None:
    check_shortcuts(CASES[name].task)


@pytest.mark.parametrize(("series", "ahead"), [(tasks.MackeyGlass, 6), (tasks.Lorenz, 5)])
def test_series(series: type[Prediction], ahead: int) -> None:
    task = series(length=40, ahead=ahead)
    check_task(task)
    levels = task.baselines()
    assert 0 < levels["linear"] < levels["persistence"] < 2
    past, future = task.series[TRAINING : -task.ahead], task.series[TRAINING + task.ahead :]
    # The first fifteen windows of the linear model are left out of all baselines.
    by_hand = np.mean((past[15:] - future[15:]) ** 2) / task.series[TRAINING:].var()
    assert levels["persistence"] == pytest.approx(by_hand, rel=1e-4)
    test = task.test_set(64)
    assert {*np.asarray(test.inputs).ravel()} <= {*task.series[TRAINING:]}
    drawn = jax.vmap(task.example)(jax.random.split(jax.random.key(0), 64))
    assert {*np.asarray(drawn.inputs).ravel()} | {*np.asarray(drawn.targets).ravel()} <= {*task.series[:TRAINING]}


def test_the_lorenz_system_is_solved() -> None:
    """The first samples agree with those of a solver that controls its error."""
    from rnnbench.tasks.signals.lorenz import TIME_STEP, _series

    def change(_: float, at: np.ndarray) -> list[float]:
        x, y, z = at
        return [10 * (y - x), x * (28 - z) - y, x * y - 8 / 3 * z]

    times = np.arange(150) * TIME_STEP
    expected = scipy.integrate.solve_ivp(change, (0, times[-1]), [1, 1, 1], t_eval=times, rtol=1e-9, atol=1e-9).y[0]
    np.testing.assert_allclose(_series(150), expected, atol=0.02)


def test_the_mackey_glass_series_is_solved() -> None:
    """Euler's method with a tenth of the step gives nearly the same."""
    from rnnbench.tasks.signals.mackey_glass import _series

    fine, lag = [1.2] * 1701, 1700
    for step in range(lag, lag + 100 * 60):
        past = fine[step - lag]
        fine.append(fine[step] + (0.2 * past / (1 + past**10) - 0.1 * fine[step]) / 100)
    np.testing.assert_allclose(_series(60, 17), fine[lag + 100 :: 100], atol=0.01)
