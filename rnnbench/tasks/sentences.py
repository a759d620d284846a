"""Tasks whose examples are sentences, in which a reader can follow a model word by word."""

import abc
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Array, Bool, Float, Int

from rnnbench.tasks.base import Task

Predict = Callable[[Int[Array, "sentences time"], Bool[Array, "sentences time"]], Float[Array, "sentences time out"]]
"""A trained model: maps a batch of inputs and its mask to the outputs at every step."""


class TracedSentences(NamedTuple):
    """A few sentences along which the gates of a trained model are recorded.

    Attributes:
        inputs: token ids, padded to the task's `length`.
        mask: False at padded steps.
        words: the words of each sentence as a reader sees them, one for each step that is not padded.
    """

    inputs: Int[np.ndarray, "sentences time"]
    mask: Bool[np.ndarray, "sentences time"]
    words: list[list[str]]


class Completion(NamedTuple):
    """How probable a model finds one way to complete a sentence: a row of the `showcase` table.

    Attributes:
        prompt: the sentence up to the word to predict.
        continuation: a candidate for that word.
        probability: the probability that the model gives it, between 0 and 1.
        correct: whether this continuation is the right one.
    """

    prompt: str
    continuation: str
    probability: float
    correct: bool


class SentenceTask(Task):
    """Base class of tasks whose examples are sentences.

    Such a task also names some sentences. At the end of training, each gate is recorded at each word of the traced
    sentences (table `gate_traces`), and so is how the model completes sentences (table `showcase`).
    """

    @abc.abstractmethod
    def traced_sentences(self) -> TracedSentences:
        """Returns the sentences along which gates are recorded. There may be none, with leading axes of 0."""

    @abc.abstractmethod
    def showcase(self, predict: Predict) -> list[Completion]:
        """Returns how a model completes sentences that a reader should see. The list may be empty.

        Args:
            predict: the trained model.
        """
