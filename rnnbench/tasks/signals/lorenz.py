"""The Lorenz system."""

import numpy as np
from jaxtyping import Float

from rnnbench.tasks.signals.base import TEST, TRAINING, Prediction

SIGMA, RHO, BETA = 10.0, 28.0, 8 / 3
TIME_STEP = 0.02
TRANSIENT = 500
"""Samples before the first one that is used."""


class Lorenz(Prediction):
    """Predict the first coordinate of the Lorenz system, of which nothing else is seen.

        dx/dt = 10 (y - x)        dy/dt = x (28 - z) - y        dz/dt = x y - 8/3 z

    Sampled every .02 units of time; the two hidden coordinates have to be inferred from the past. Nearby solutions
    part by a factor of e within about 1.1 units (55 samples). See `Prediction` for windows, scores and the chance
    level.

        inputs   .71  .66  .60  .54 ...
        targets  -.02 -.11 -.19 -.27 ...      the same, `ahead` steps later
    Solved: a tenth of the chance level.

    Lorenz 1963.

    Args:
        length: steps of a window.
        ahead: how many steps ahead.

    Raises:
        ValueError: a number is too small or too large.
    """

    def __init__(self, length: int = 200, ahead: int = 20) -> None:
        super().__init__(_series(TRANSIENT + TRAINING + TEST)[TRANSIENT:], length, ahead)


def _series(samples: int) -> Float[np.ndarray, " samples"]:
    """Returns samples of x, integrated by the Runge-Kutta method of fourth order from (1, 1, 1)."""

    def change(x: float, y: float, z: float) -> tuple[float, float, float]:
        return SIGMA * (y - x), x * (RHO - z) - y, x * y - BETA * z

    def moved(state: tuple[float, ...], by: tuple[float, ...], time: float) -> tuple[float, float, float]:
        x, y, z = (value + time * rate for value, rate in zip(state, by, strict=True))
        return x, y, z

    state = (1.0, 1.0, 1.0)
    found = np.empty(samples)
    for sample in range(samples):
        found[sample] = state[0]
        first = change(*state)
        second = change(*moved(state, first, TIME_STEP / 2))
        third = change(*moved(state, second, TIME_STEP / 2))
        fourth = change(*moved(state, third, TIME_STEP))
        rates = zip(first, second, third, fourth, strict=True)
        state = moved(state, tuple((a + 2 * b + 2 * c + d) / 6 for a, b, c, d in rates), TIME_STEP)
    return found
