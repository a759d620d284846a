"""Tasks that read symbols: what their outputs mean, how they are scored, and how a person reads an example."""

import math
from collections.abc import Sequence
from typing import ClassVar, Literal

import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Bool, Float, Int

from rnnbench.tasks.base import Example, Task


class SymbolTask(Task):
    """Base class of tasks that read symbols. The three classes below say what such a task is asked.

    Attributes:
        symbols: what a person reads for each token id of the inputs.
        answers: what a person reads for each output.
    """

    score: ClassVar[str] = "accuracy"
    score_goal: ClassVar[Literal["max", "min"]] = "max"

    def __init__(self, length: int, symbols: Sequence[str], answers: Sequence[str]) -> None:
        self.length = length
        self.symbols = tuple(symbols)
        self.answers = tuple(answers)
        self.vocab_size = len(self.symbols)
        self.out_features = len(self.answers)

    def chance(self) -> dict[str, float]:
        """Returns the level of guessing among answers that are equally probable."""
        return {"loss": math.log(self.out_features), "accuracy": 1 / self.out_features}

    def solved(self, summary: dict[str, float]) -> bool:
        return summary["accuracy"] >= 0.99

    def read_inputs(self, inputs: Int[np.ndarray, " time"]) -> dict[str, list[str]]:
        return {"inputs": [self.symbols[token] for token in inputs]}


class SequenceClassification(SymbolTask):
    """Base class of tasks with one answer after the last symbol. The target is the number of the right answer.

    The loss is the cross-entropy, in nats; `accuracy` is the share of right answers.
    """

    last_step_only = True

    def loss(self, outputs: Float[Array, " out"], example: Example) -> Float[Array, ""]:
        return optax.softmax_cross_entropy_with_integer_labels(outputs, example.targets)

    def metrics(self, outputs: Float[Array, " out"], example: Example) -> dict[str, Float[Array, ""]]:
        return {"accuracy": jnp.float32(jnp.argmax(outputs) == example.targets)}

    def read_targets(self, example: Example) -> list[str]:
        return [*[""] * (int(example.mask.sum()) - 1), self.answers[int(example.targets)]]


class SequenceLabelling(SymbolTask):
    """Base class of tasks with an answer at some steps, where `info["scored"]` `(time,)` is True.

    The targets `(time,)` are numbers of answers. The loss is the mean cross-entropy of the scored steps, in nats;
    `accuracy` is the share of them that is right, and `all_right` whether all are.
    """

    def loss(self, outputs: Float[Array, "time out"], example: Example) -> Float[Array, ""]:
        losses = optax.softmax_cross_entropy_with_integer_labels(outputs, example.targets)
        return _mean(losses, example.info["scored"])

    def metrics(self, outputs: Float[Array, "time out"], example: Example) -> dict[str, Float[Array, ""]]:
        scored = example.info["scored"]
        right = jnp.argmax(outputs, axis=-1) == example.targets
        return {
            "accuracy": _mean(jnp.float32(right), scored),
            "all_right": jnp.float32(jnp.all(right | ~scored)),
        }

    def answer_scores(self, outputs: Float[Array, "time out"], example: Example) -> Float[Array, " answers"]:
        """Returns whether each answer is right, in the order of the steps.

        Raises:
            ValueError: no breakdown says how many answers every example has.
        """
        counts = {len(example.info[by]) for by in self.breakdowns if example.info[by].ndim}
        if len(counts) != 1:
            raise ValueError(
                f"breakdowns: expected as many integers in each as there are answers, got {sorted(counts)}"
            )
        [steps] = jnp.nonzero(example.info["scored"], size=counts.pop())
        return jnp.float32(jnp.argmax(outputs[steps], axis=-1) == example.targets[steps])

    def read_targets(self, example: Example) -> list[str]:
        steps = zip(example.targets[example.mask], example.info["scored"][example.mask], strict=True)
        return [self.answers[target] if scored else "" for target, scored in steps]


class NextSymbols(SymbolTask):
    """Base class of tasks that ask after each symbol which symbols may come next: there may be several.

    The targets `(time, out)` are True for those that may. The loss is the mean cross-entropy of a yes or no for each
    symbol, in nats. A step is right if the sign of every output is; `accuracy` is the share of right steps, and the
    score is `all_right`, whether all steps of a sequence are right (Gers & Schmidhuber 2001; Suzgun et al. 2019).
    """

    causal = True
    score: ClassVar[str] = "all_right"

    def loss(self, outputs: Float[Array, "time out"], example: Example) -> Float[Array, ""]:
        losses = optax.sigmoid_binary_cross_entropy(outputs, jnp.float32(example.targets))
        return _mean(jnp.mean(losses, axis=-1), example.mask)

    def metrics(self, outputs: Float[Array, "time out"], example: Example) -> dict[str, Float[Array, ""]]:
        right = jnp.all((outputs > 0) == example.targets, axis=-1)
        return {
            "accuracy": _mean(jnp.float32(right), example.mask),
            "all_right": jnp.float32(jnp.all(right | ~example.mask)),
        }

    def solved(self, summary: dict[str, float]) -> bool:
        return summary["all_right"] >= 0.99

    def read_targets(self, example: Example) -> list[str]:
        names = np.array(self.answers)
        return ["".join(names[may_follow]) for may_follow in example.targets[example.mask]]


def _mean(values: Float[Array, " time"], where: Bool[Array, " time"]) -> Float[Array, ""]:
    return jnp.sum(jnp.where(where, values, 0.0)) / jnp.sum(where, dtype=values.dtype)
