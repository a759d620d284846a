"""How far a job is trained. A longer training holds the shorter ones, whose rows are read off it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc

from rnnbench.errors import UserError
from rnnbench.records.reader import read_table
from rnnbench.records.schemas import COMPLETE

Rows = Sequence[Mapping[str, Any]]

COLUMNS = ["run_id", "status", "step", "train.steps", "train.eval_every"]
"""The columns of the runs table that say how far its job is trained."""


def is_done(folder: Path, rows: Rows, complete: bool, steps: int) -> bool:
    """Returns whether nothing is left to train when a job's runs are asked for `steps` steps.

    Args:
        folder: the job's folder.
        rows: the rows of its runs table.
        complete: whether the job has all that it was last asked for (`reader.is_complete`).
        steps: training steps.

    Raises:
        UserError: see `is_longer`.
    """
    return is_longer(folder, rows, steps) or (complete and asked(rows) == steps)


def is_longer(folder: Path, rows: Rows, steps: int) -> bool:
    """Returns whether a job was asked for more than `steps` steps, and has taken these. It may be training.

    Raises:
        UserError: it was not evaluated at this step.
    """
    is_over = all(row["status"] in COMPLETE for row in rows)
    if not rows or asked(rows) <= steps or (reached(rows) < steps and not is_over):
        return False
    every = rows[0]["train.eval_every"]
    if steps < reached(rows) and steps % every:
        before = steps - steps % every
        known = [str(step) for step in (before, min(before + every, reached(rows))) if step]
        raise UserError(
            f"train.steps: expected {' or '.join(known)}, got {steps}: {folder} was trained further, and evaluated "
            f"every {every} steps (train.eval_every), so nothing can be read off at step {steps}; overwrite=true or "
            "another output= trains from the start"
        )
    return True


def asked(rows: Rows) -> int:
    """Returns the number of steps that a job was last asked for."""
    return int(rows[0]["train.steps"])


def reached(rows: Rows) -> int:
    """Returns the last step of any of a job's runs."""
    return max(row["step"] for row in rows)


def evaluated(rows: Rows) -> int:
    """Returns the step of a job's last evaluation: later than the last step of its runs if these all diverged."""
    every = rows[0]["train.eval_every"]
    return min(-(-reached(rows) // every) * every, asked(rows))


def as_of(folder: Path, rows: Rows, steps: int) -> list[dict[str, Any]]:
    """Returns a job's rows as they were when it had been trained for `steps` steps and evaluated.

    Args:
        folder: the job's folder.
        rows: rows of its runs table, of any of its runs.
        steps: training steps; if there are fewer, because all runs had diverged or were solved, this changes nothing
            else than the column `train.steps`.
    """
    found = [{**row, "train.steps": steps} for row in rows]
    later = [row for row in found if row["step"] > steps]
    finals = _finals(folder, steps) if later else {}
    for row in found:
        if row["status"] == "running":
            row["status"] = "finished"
    for row in later:
        solved = row["solved_at"] is not None and row["solved_at"] <= steps
        row |= {"status": "finished", "step": steps, "diverged_at": None}
        row["solved_at"] = row["solved_at"] if solved else None
        for name in [name for name in row if name.startswith("final.")]:
            del row[name]
        row |= dict(sorted(finals.get(row["run_id"], {}).items()))
    return found


def _finals(folder: Path, step: int) -> dict[str, dict[str, float]]:
    """Returns what the columns `final.` of the runs table had after the evaluation at a step, by run."""
    metrics = read_table(folder, "metrics", through=step).filter(pc.field("step") == step)
    found: dict[str, dict[str, float]] = {}
    for row in metrics.to_pylist():
        own = found.setdefault(row["run_id"], {})
        if row["split"] == "test":
            own[f"final.{row['metric']}"] = row["value"]
        elif (row["split"], row["metric"]) == ("train", "loss") and np.isfinite(row["value"]):
            own["final.train.loss"] = row["value"]
    return found
