"""A curriculum: training starts with the shortest sequences, and takes longer ones as the score rises."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from rnnbench.tasks.base import GrowingTask, Task

RATE = 0.05
"""Weight of a step's score in the moving average."""

GROWTH = 1.25
"""Factor by which the largest length grows."""


class Curriculum(NamedTuple):
    """Where a run stands in its curriculum.

    Attributes:
        longest: the largest length, or distance, that training draws.
        score: moving average of the training score since `longest` grew, from 0.
    """

    longest: Float[Array, ""]
    score: Float[Array, ""]


def start(task: Task) -> Curriculum:
    """Returns the curriculum before the first step, at the smallest length of the task.

    Raises:
        ValueError: the task's examples do not differ in length, or its score is an error.
    """
    if not isinstance(task, GrowingTask) or task.score_goal == "min":
        raise ValueError(
            "curriculum: expected null for this task; those that are trained on many lengths have one, such as parity"
        )
    return Curriculum(jnp.float32(task.curriculum[0]), jnp.float32(0))


def advance(at: Curriculum, score: Float[Array, ""], threshold: float | Float[Array, ""], task: Task) -> Curriculum:
    """Returns the curriculum after a step.

        a' = a + .05 (score - a)
        longest' = min(max(1.25 longest, longest + 1), largest)  and  a' = 0      if a' >= threshold

    Args:
        at: the curriculum before the step.
        score: the step's training score.
        threshold: the score at which the length grows.
        task: the task.
    """
    assert isinstance(task, GrowingTask), "or there would be no curriculum"
    average = at.score + RATE * (score - at.score)
    grows = average >= threshold
    longer = jnp.minimum(jnp.maximum(GROWTH * at.longest, at.longest + 1), task.curriculum[1])
    return Curriculum(jnp.where(grows, longer, at.longest), jnp.where(grows, 0.0, average))
