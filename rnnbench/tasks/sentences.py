"""Tasks whose examples are sentences: a reader can follow a model through some of them, word by word."""

import abc
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Array, Bool, Float, Int

from rnnbench.tasks.base import Task

Predict = Callable[[Int[Array, "sentences time"], Bool[Array, "sentences time"]], Float[Array, "sentences time out"]]
"""A trained model: a batch of inputs and its mask to the outputs of every step."""


class TracedSentences(NamedTuple):
    """A few sentences along which the gates of a trained model are recorded.

    Attributes:
        inputs: token ids, padded to the task's `length`.
        mask: False at padded steps.
        words: of each sentence the words as they are shown to a reader, one for each step that is not padded.
    """

    inputs: Int[np.ndarray, "sentences time"]
    mask: Bool[np.ndarray, "sentences time"]
    words: list[list[str]]


class Completion(NamedTuple):
    """How probable a model finds one way to complete a sentence: a row of the `showcase` table.

    Attributes:
        prompt: the sentence up to the word to be predicted.
        continuation: that word.
        probability: the model's, between 0 and 1.
        correct: whether this continuation is the right one.
    """

    prompt: str
    continuation: str
    probability: float
    correct: bool


class SentenceTask(Task):
    """Base of tasks whose examples are sentences.

    Beside what every task has, it names some sentences. At the end of training, each gate is recorded at each of
    their words (the table `gate_traces`), and so is how the model completes them (the table `showcase`).
    """

    @abc.abstractmethod
    def traced_sentences(self) -> TracedSentences:
        """Returns the sentences along which the gates are recorded; none, with leading axes of 0, is allowed."""

    @abc.abstractmethod
    def showcase(self, predict: Predict) -> list[Completion]:
        """Returns how a model completes sentences that a reader should see; an empty list is allowed.

        Args:
            predict: the trained model.
        """
