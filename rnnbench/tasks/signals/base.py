"""What the tasks share that predict a series."""

from typing import ClassVar, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from rnnbench.tasks.base import TEST_SEED, Example, Task

TRAINING, TEST = 20_000, 5_000
"""Samples of the series that training and the test set draw windows from."""

ORDER = 16
"""How many past values the linear model sees."""


class Prediction(Task):
    """Base class of tasks that predict a series some steps ahead, at every step of a window.

    The series is computed once. Training draws windows from its first 20,000 samples, the test set from the next
    5,000; both are scaled so that the first have mean 0 and variance 1. The first quarter of a window is not scored, so
    that a model can find out where it is. The loss is the mean squared error of the scored steps; `nmse` is the same,
    divided by the variance of the test samples.
    Chance: the better of two models without a state, on the test set: "persistence" predicts that the series stays as
    it is, and a linear model, fitted to the training samples, sees the last 16 values.

    Attributes:
        ahead: steps from the last value that is read to the one that is predicted.
        series: all samples, scaled.
    """

    in_features = 1
    out_features = 1
    causal = True
    score: ClassVar[str] = "nmse"
    score_goal: ClassVar[Literal["max", "min"]] = "min"

    def __init__(self, series: Float[np.ndarray, " samples"], length: int, ahead: int) -> None:
        """Sets the attributes.

        Args:
            series: at least 25,000 samples.
            length: steps of a window.
            ahead: see the attribute.

        Raises:
            ValueError: a number is too small, or together they are too large for the test samples.
        """
        if length < 4:
            raise ValueError(f"length: expected at least 4, got {length}")
        if ahead < 1:
            raise ValueError(f"ahead: expected at least 1, got {ahead}")
        if length + ahead > TEST:
            raise ValueError(
                f"length: expected at most {TEST - ahead}, so that a window fits into the test, got {length}"
            )
        own = series[: TRAINING + TEST]
        self.series = ((own - own[:TRAINING].mean()) / own[:TRAINING].std()).astype(np.float32)
        self.length = length
        self.ahead = ahead
        self._variance = float(self.series[TRAINING:].var())

    def example(self, key: PRNGKeyArray) -> Example:
        return self._window(jax.random.randint(key, (), 0, TRAINING - self.length - self.ahead + 1))

    def _window(self, start: Int[Array, ""]) -> Example:
        series = jnp.asarray(self.series)
        steps = jnp.arange(self.length)
        return Example(
            inputs=series[start + steps][:, None],
            targets=series[start + steps + self.ahead][:, None],
            mask=jnp.ones(self.length, bool),
            info={"scored": steps >= self.length // 4},
        )

    def test_set(self, size: int) -> Example:
        starts = jax.random.randint(jax.random.key(TEST_SEED), (size,), TRAINING, self._last + 1)
        return jax.jit(jax.vmap(self._window))(starts)

    @property
    def _last(self) -> int:
        """Returns where the last window of the test samples starts."""
        return len(self.series) - self.length - self.ahead

    def loss(self, outputs: Float[Array, "time out"], example: Example) -> Float[Array, ""]:
        scored = example.info["scored"]
        errors = jnp.mean((outputs - example.targets) ** 2, axis=-1)
        return jnp.sum(jnp.where(scored, errors, 0.0)) / jnp.sum(scored, dtype=errors.dtype)

    def metrics(self, outputs: Float[Array, "time out"], example: Example) -> dict[str, Float[Array, ""]]:
        return {"nmse": self.loss(outputs, example) / self._variance}

    def baselines(self) -> dict[str, float]:
        """Returns the `nmse` of persistence and of the linear model over all test samples."""
        past, future = self._pairs(0, TRAINING)
        weights = np.linalg.lstsq(past, future)[0]
        past, future = self._pairs(TRAINING, len(self.series))
        predicted = {"persistence": past[:, -2], "linear": past @ weights}
        return {name: float(np.mean((values - future) ** 2) / self._variance) for name, values in predicted.items()}

    def _pairs(self, start: int, end: int) -> tuple[np.ndarray, np.ndarray]:
        """Returns the last values, the latest at the end before a constant 1, and those that are to be predicted."""
        own = self.series[start:end].astype(np.float64)
        past = np.lib.stride_tricks.sliding_window_view(own, ORDER)[: len(own) - ORDER - self.ahead + 1]
        return np.column_stack([past, np.ones(len(past))]), own[ORDER - 1 + self.ahead :]

    def chance(self) -> dict[str, float]:
        level = min(self.baselines().values())
        return {"nmse": level, "loss": level * self._variance}

    def solved(self, summary: dict[str, float]) -> bool:
        return summary["nmse"] < 0.1 * self.chance()["nmse"]

    def read_targets(self, example: Example) -> list[str]:
        values = zip(example.targets[:, 0], example.info["scored"], strict=True)
        return [f"{value:.3g}" if scored else "" for value, scored in values]
