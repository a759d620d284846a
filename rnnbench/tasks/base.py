"""What a task is: it draws an example from a key, and defines its loss, its metrics and its chance level."""

import abc
from collections.abc import Callable
from typing import ClassVar, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray, PyTree, Shaped


class Example(NamedTuple):
    """One example; with a leading axis on every leaf, a batch of them.

    Attributes:
        inputs: token ids `(time,)` for a task with a `vocab_size`, or `(time, ids)` if each step has several, whose
            embeddings are added; else features `(time, features)`.
        targets: what the loss compares the outputs with; its shape is the task's own.
        mask: `(time,)`, False at padded steps, which leave the recurrent state unchanged.
        info: anything else that scoring needs, by name. `distance`, if present, is the number of steps from the cue to
            the answer that depends on it; `cue` `(time,)`, if present, is True at the steps that decide an answer.
    """

    inputs: Shaped[Array, "..."]
    targets: PyTree[Shaped[Array, "..."]]
    mask: Bool[Array, "... time"]
    info: dict[str, Shaped[Array, "..."]]


Outputs = Float[Array, "time out"] | Float[Array, " out"] | Float[Array, "time out out"]
"""A model's outputs for one example: at every step, or at the last one if the task has `last_step_only`.

With `pairwise`, those of a step are scores of each output (column) after each (row).
"""

TEST_SEED = 0x7E57
"""Seed of every generated test set. All runs share it, so that their scores are paired."""


def fixed_batch(example: Callable[[PRNGKeyArray], Example], size: int) -> Example:
    """Returns a batch of `size` examples that is the same at every call, each drawn by `example` from its own key."""
    return jax.jit(jax.vmap(example))(jax.random.split(jax.random.key(TEST_SEED), size))


class Task(abc.ABC):
    """Base class of all tasks.

    A run's data depends only on its seed and step: `example` must take all its randomness from `key`. It runs on the
    device inside the compiled training loop, so its shapes must be static.

    A constructor argument that is a plain number may be marked `FOLDABLE` (`rnnbench.config.annotations`):

        def __init__(self, length: int = 100, noise: Annotated[float | Array, FOLDABLE] = 0.1) -> None:

    A sweep then trains all its values as one program, as it does with seeds, instead of compiling a program for each.
    Inside that program the argument is traced: an array whose value is not known at compile time. So no shape and no
    `if` may depend on it, and the constructor must not check the value of an array: `if not isinstance(noise,
    Array) and noise < 0: raise ValueError(...)`. It may enter every computation: `example`, `loss`, `probe_loss` and
    `metrics`. What runs on the host (`test_set`, `probe_set`, `summary`, `chance`, `solved`) sees the number itself.

    `rnnbench.testing.check_task` checks that a task keeps this contract.

    Attributes:
        length: number of time steps of every example (padded).
        vocab_size: number of token ids, or None if the inputs are features.
        in_features: number of input features, if `vocab_size` is None.
        out_features: number of outputs of the readout: classes, regression targets, or one logit for two classes.
        last_step_only: whether only the output after the last step is scored.
        pairwise: whether an output's score depends on the one before it: the model adds a matrix of transitions.
        causal: whether later inputs contain the answers, as in language modelling: then no model may read backwards.
        score: name of the metric by which runs are compared.
        score_goal: whether a higher score is better ("max") or a lower one ("min").
        breakdowns: names of integers in `Example.info`, one for an example, or `(answers,)` for its answers (see
            `answer_scores`). At every evaluation, the mean test score is recorded for each of their values in the table
            `scores`; for `distance` and `length`, in the bins 1-2, 3-4, 5-8, 9-16, ...
    """

    length: int
    vocab_size: int | None = None
    in_features: int = 1
    out_features: int
    last_step_only: ClassVar[bool] = False
    pairwise: bool = False
    causal: ClassVar[bool] = False
    score: ClassVar[str]
    score_goal: ClassVar[Literal["max", "min"]]
    breakdowns: ClassVar[tuple[str, ...]] = ()

    @abc.abstractmethod
    def example(self, key: PRNGKeyArray) -> Example:
        """Returns one training example, drawn from `key`."""

    def output_shape(self, steps: int) -> tuple[int, ...]:
        """Returns the shape of a model's outputs for an example of this many steps."""
        if self.last_step_only:
            return (self.out_features,)
        return (steps, *[self.out_features] * (2 if self.pairwise else 1))

    @abc.abstractmethod
    def loss(self, outputs: Outputs, example: Example) -> Float[Array, ""]:
        """Returns the loss of one example; the loss of a batch is the mean over its examples."""

    @abc.abstractmethod
    def metrics(self, outputs: Outputs, example: Example) -> dict[str, Float[Array, ""]]:
        """Returns the metrics of one example by name, including `self.score`."""

    def answer_scores(self, outputs: Outputs, example: Example) -> Float[Array, " answers"]:
        """Returns the score of each answer of one example, in the order of the breakdowns that differ between them.

        Only a task with such a breakdown needs this: one whose integers in `info` are an array.
        """
        raise NotImplementedError(f"{type(self).__name__}: its answers are not scored one by one")

    @abc.abstractmethod
    def chance(self) -> dict[str, float]:
        """Returns the best that a model can reach without the cue, by name of metric, and `loss` if known."""

    @abc.abstractmethod
    def solved(self, summary: dict[str, float]) -> bool:
        """Returns whether a run with this test summary (see `summary`) counts as having solved the task."""

    def test_set(self, size: int) -> Example:
        """Returns the test set: a batch of `size` examples, the same at every call.

        By default, `example` draws them from separate keys. Override this if training could draw the same examples
        (from a finite set of images, say), and return examples that training never draws. Scores are broken down and
        compared example by example, so their order must be fixed too.
        """
        return fixed_batch(self.example, size)

    def probe_set(self, size: int) -> Example:
        """Returns the probe batch: `size` examples, the same at every call, on which gradients are traced back in time.

        By default, this is a test set of that size. The gradient norm at a time step is averaged over the batch, which
        is meaningful only if all examples have their answer at the same step. Override this if the answers of a task
        come at different steps, and draw examples of one length and one distance.
        """
        return self.test_set(size)

    def probe_loss(self, outputs: Outputs, example: Example) -> Float[Array, ""]:
        """Returns the loss whose gradient is traced back in time, for one example.

        By default, this is `loss`. Override it if the loss has terms that need no memory (blanks, or the next word of
        a language model), whose short-lived gradient would hide that of the answer, and return only the term of the
        answer. The gradient flow and Pascanu's Omega use this loss; training itself never does.
        """
        return self.loss(outputs, example)

    def summary(self, metrics: dict[str, np.ndarray], test_set: Example) -> dict[str, float]:
        """Returns the numbers recorded for a whole test set, by name; by default, the means of the metrics.

        Args:
            metrics: the metrics of every example of the test set, each `(size,)`.
            test_set: the examples, as NumPy arrays.
        """
        del test_set
        return {name: float(np.mean(values)) for name, values in metrics.items()}

    def read_inputs(self, inputs: Shaped[np.ndarray, "..."]) -> dict[str, list[str]]:
        """Returns what a person reads at each step, in one row or several, by name.

        Args:
            inputs: the inputs of an example, without its padded steps.
        """
        if self.vocab_size is not None:
            return {"inputs": [str(token) for token in inputs]}
        names = ["inputs"] if self.in_features == 1 else [f"inputs {i}" for i in range(self.in_features)]
        return {name: [f"{value:.3g}" for value in row] for name, row in zip(names, inputs.T, strict=True)}

    def read_targets(self, example: Example) -> list[str]:
        """Returns the right answer at each step that is not padded, as a person reads it; "" where there is none.

        Args:
            example: one example, with NumPy arrays.
        """
        steps = int(example.mask.sum())
        answers = [f"{value:.3g}" for value in np.atleast_1d(np.asarray(example.targets)).tolist()]
        if self.last_step_only:
            return [*[""] * (steps - 1), " ".join(answers)]
        return answers[:steps]


class GrowingTask(Task):
    """Base class of tasks whose examples differ in length (or distance), so that `train.curriculum` can let it grow.

    Attributes:
        curriculum: the smallest and the largest length of training.
    """

    curriculum: tuple[int, int]

    @abc.abstractmethod
    def example_up_to(self, key: PRNGKeyArray, longest: Int[Array, ""]) -> Example:
        """Returns a training example that is no longer than `longest`, with the shapes of every other."""

    def example(self, key: PRNGKeyArray) -> Example:
        return self.example_up_to(key, jnp.int32(self.curriculum[1]))
