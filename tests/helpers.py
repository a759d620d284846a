"""What tests of several folders need: a row of the runs table, a small model, and a batch."""

from collections.abc import Callable
from typing import Any

import jax
from flax import nnx

from rnnbench.model import Model
from rnnbench.tasks.base import Example, Task

BATCH, HIDDEN = 3, 4


def row(run_id: str = "r", status: str = "running", step: int = 0, **more: Any) -> dict[str, Any]:
    """Returns a row of the runs table: its fixed columns, then `more`."""
    base = {"run_id": run_id, "status": status, "step": step, "solved_at": None, "diverged_at": None}
    return {**base, "score": "accuracy", "score_goal": "max", **more}


def build(make_cell: Callable[..., Any], task: Task, **options: Any) -> Model:
    """Returns a model of `HIDDEN` units a layer."""
    return Model(make_cell, task, hidden_size=HIDDEN, rngs=nnx.Rngs(2), **options)


def batch_of(task: Task) -> Example:
    """Returns `BATCH` examples of a task."""
    return jax.vmap(task.example)(jax.random.split(jax.random.key(1), BATCH))
