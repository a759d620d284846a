"""What a task is: it draws one example from a key, and knows its loss, its metrics and its chance level."""

import abc
from typing import ClassVar, Literal, NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Bool, Float, PRNGKeyArray, PyTree, Shaped


class Example(NamedTuple):
    """One example; with a leading axis on every leaf, a batch of them.

    Attributes:
        inputs: token ids `(time,)` for a task with a `vocab_size`, else features `(time, features)`.
        targets: what the loss compares the outputs with; its shape is the task's own.
        mask: `(time,)`, False at padded steps: they leave the recurrent state as it was.
        info: what scoring needs beside the targets, by name. `distance`, where present, is the number
            of steps between the cue and the answer that hangs on it; scores are broken down by it.
    """

    inputs: Shaped[Array, "..."]
    targets: PyTree[Shaped[Array, "..."]]
    mask: Bool[Array, "... time"]
    info: dict[str, Shaped[Array, "..."]]


Outputs = Float[Array, "time out"] | Float[Array, " out"]
"""A model's outputs for one example: of every step, or of the last where the task has `last_step_only`."""

TEST_SEED = 0x7E57
"""Key of every generated test set: it is the same for all runs, so that their scores are paired."""


class Task(abc.ABC):
    """Base of all tasks.

    A run's data depends on its seed and step alone: `example` must take all its randomness from `key`,
    and runs on the device inside the compiled training loop (so its shapes are static).

    Attributes:
        length: number of time steps of every example (padded).
        vocab_size: number of token ids, or None where the inputs are features.
        in_features: number of input features, where `vocab_size` is None.
        out_features: number of outputs of the readout (classes, or regression targets).
        last_step_only: True where only the output after the last step is scored.
        score: name of the metric by which runs are compared, and `score_goal`, which way is better.
        breakdowns: names in `Example.info` by which the test scores are broken down.
    """

    length: int
    vocab_size: int | None = None
    in_features: int = 1
    out_features: int
    last_step_only: ClassVar[bool] = False
    score: ClassVar[str]
    score_goal: ClassVar[Literal["max", "min"]]
    breakdowns: ClassVar[tuple[str, ...]] = ()

    @abc.abstractmethod
    def example(self, key: PRNGKeyArray) -> Example:
        """Draws one training example."""

    @abc.abstractmethod
    def loss(self, outputs: Outputs, example: Example) -> Float[Array, ""]:
        """Loss of one example; a batch's loss is the mean over its examples."""

    @abc.abstractmethod
    def metrics(self, outputs: Outputs, example: Example) -> dict[str, Float[Array, ""]]:
        """Metrics of one example, by name, among them `self.score`."""

    @abc.abstractmethod
    def chance(self) -> dict[str, float]:
        """What a model that ignores the cue reaches at best, by name of metric (and `loss` where known)."""

    @abc.abstractmethod
    def solved(self, summary: dict[str, float]) -> bool:
        """Whether a run with this test summary counts as having solved the task."""

    def test_set(self, size: int) -> Example:
        """A fixed batch of `size` examples, disjoint from training wherever the data are finite."""
        keys = jax.random.split(jax.random.key(TEST_SEED), size)
        return jax.jit(jax.vmap(self.example))(keys)

    def probe_set(self, size: int) -> Example:
        """A fixed batch on which gradients are traced, by default the first of the test set.

        Where the answers of a task stand at different steps, this draws some that stand at the same, so that
        the time steps of the mean line up.
        """
        return self.test_set(size)

    def probe_loss(self, outputs: Outputs, example: Example) -> Float[Array, ""]:
        """Loss whose gradient is traced back in time: the part of the loss that hangs on the cue."""
        return self.loss(outputs, example)

    def summary(self, metrics: dict[str, np.ndarray], test_set: Example) -> dict[str, float]:
        """Numbers of a whole test set from its per-example metrics, each `(size,)`; by default the means."""
        del test_set
        return {name: float(np.mean(values)) for name, values in metrics.items()}
