"""The Mackey-Glass series."""

import numpy as np
from jaxtyping import Float

from rnnbench.tasks.signals.base import TEST, TRAINING, Prediction

BETA, GAMMA, POWER = 0.2, 0.1, 10
SUBSTEPS = 10
"""Steps of the integration in a unit of time."""

TRANSIENT = 1000
"""Samples before the first one that is used."""


class MackeyGlass(Prediction):
    """Predict a chaotic series whose change depends on its value some time ago.

        dx/dt = .2 x(t - delay) / (1 + x(t - delay)^10) - .1 x(t)

    Sampled once a unit of time; see `Prediction` for windows, scores and the chance level. With a delay of 17 it is
    mildly chaotic, and more so with 30.

        inputs   .92  .83  .71  .58 ...
        targets  -.31 -.52 -.77 -1.03 ...      the same, `ahead` steps later
    Solved: a tenth of the chance level.

    Mackey & Glass 1977; a standard test of recurrent networks since Jaeger & Haas 2004 (84 steps ahead).

    Args:
        length: steps of a window.
        ahead: how many steps ahead.
        delay: the delay in the equation, in units of time.

    Raises:
        ValueError: a number is too small or too large.
    """

    def __init__(self, length: int = 200, ahead: int = 15, delay: int = 17) -> None:
        if delay < 1:
            raise ValueError(f"delay: expected at least 1, got {delay}")
        super().__init__(_series(TRANSIENT + TRAINING + TEST, delay)[TRANSIENT:], length, ahead)


def _series(samples: int, delay: int) -> Float[np.ndarray, " samples"]:
    """Returns samples of the solution from a constant past of 1.2, integrated by Euler's method."""
    lag = delay * SUBSTEPS
    x = [1.2] * (lag + 1)
    for step in range(lag, lag + samples * SUBSTEPS):
        past = x[step - lag]
        x.append(x[step] + (BETA * past / (1 + past**POWER) - GAMMA * x[step]) / SUBSTEPS)
    return np.array(x[lag + SUBSTEPS :: SUBSTEPS])
