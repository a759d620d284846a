"""What the tasks that classify the strings of a formal language share."""

import abc

import numpy as np
from jaxtyping import Float

from rnnbench.tasks.lengths import VariableLength
from rnnbench.tasks.symbols import SequenceClassification


class StringClassification(VariableLength, SequenceClassification):
    """Base class of tasks that ask one question about a random string, after its last symbol."""

    @abc.abstractmethod
    def frequencies(self, length: int) -> Float[np.ndarray, " answers"]:
        """Returns the probability of each answer for strings of a length."""

    def chance(self) -> dict[str, float]:
        """Returns the level of a model that sees nothing but the length, over the lengths of the test set."""
        return {
            "loss": self.over_test_lengths(lambda length: _entropy(self.frequencies(length))),
            "accuracy": self.over_test_lengths(lambda length: float(self.frequencies(length).max())),
        }


def _entropy(probabilities: Float[np.ndarray, " answers"]) -> float:
    present = probabilities[probabilities > 0]
    return float(-np.sum(present * np.log(present)))
