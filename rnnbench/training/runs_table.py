"""The runs of a job during training: how far each has come, whether it solved or diverged, and its last scores."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from rnnbench.config.identity import described, flatten, run_id
from rnnbench.config.schema import Config
from rnnbench.tasks.base import Task

Row = dict[str, Any]


class RunsTable:
    """Rows of the runs table, updated at every evaluation.

    Attributes:
        rows: one for each run, as `Records.set_runs` takes them.
    """

    def __init__(
        self,
        configs: Sequence[Config],
        tasks: Sequence[Task],
        sizes: Mapping[str, int],
        step: int,
        diverged_at: Sequence[int],
        earlier: Sequence[Row] = (),
    ) -> None:
        """Starts the rows.

        Args:
            configs: the runs' configurations.
            tasks: the runs' tasks.
            sizes: the columns that say how large the runs' model is.
            step: training steps done.
            diverged_at: the step at which each run diverged, or -1.
            earlier: rows of an interrupted session, from which whatever still holds at `step` is kept.
        """
        self._tasks = tasks
        self.rows: list[Row] = []
        for i, (config, task) in enumerate(zip(configs, tasks, strict=True)):
            before = earlier[i] if earlier else {}
            at = diverged_at[i] if diverged_at[i] >= 0 else _up_to(before.get("diverged_at"), step)
            self.rows.append(
                {
                    "run_id": run_id(config),
                    "status": "running" if at is None else "diverged",
                    "step": step if at is None else at,
                    "solved_at": _up_to(before.get("solved_at"), step),
                    "diverged_at": at,
                    "score": task.score,
                    "score_goal": task.score_goal,
                    **flatten(described(config)),
                    **sizes,
                    **{f"chance.{name}": value for name, value in task.chance().items()},
                    # From the last evaluation; if training continues, the next one replaces them.
                    **{key: value for key, value in before.items() if key.startswith("final.") and value is not None},
                }
            )

    @property
    def run_ids(self) -> list[str]:
        """Returns the runs' ids."""
        return [row["run_id"] for row in self.rows]

    def left(self) -> list[str | None]:
        """Returns the runs' ids, or None for a run that has diverged."""
        return [row["run_id"] if row["diverged_at"] is None else None for row in self.rows]

    def diverge(self, diverged_at: Sequence[int]) -> None:
        """Marks runs as diverged.

        Args:
            diverged_at: the step at which each run diverged, or -1.
        """
        for row, at in zip(self.rows, diverged_at, strict=True):
            if at >= 0 and row["diverged_at"] is None:
                row["status"], row["diverged_at"], row["step"] = "diverged", int(at), int(at)
                _drop_finals(row)

    def evaluate(self, step: int, summaries: Sequence[Mapping[str, float]], losses: Sequence[float]) -> None:
        """Updates every run that has not diverged with its test summary and its last training loss."""
        for row, task, summary, loss in zip(self.rows, self._tasks, summaries, losses, strict=True):
            if row["diverged_at"] is not None:
                continue
            row["step"] = step
            finals = {f"final.{metric}": value for metric, value in summary.items()}
            if np.isfinite(loss):
                finals["final.train.loss"] = float(loss)
            _drop_finals(row)
            row |= dict(sorted(finals.items()))
            if row["solved_at"] is None and task.solved(dict(summary)):
                row["solved_at"] = step

    def finish(self) -> None:
        """Marks the runs that have not diverged as finished."""
        for row in self.rows:
            if row["diverged_at"] is None:
                row["status"] = "finished"

    def nothing_left(self, stop_when_solved: bool) -> bool:
        """Returns whether every run has diverged or, if `stop_when_solved`, solved its task."""
        return all(
            row["diverged_at"] is not None or (stop_when_solved and row["solved_at"] is not None) for row in self.rows
        )

    def statuses(self) -> str:
        """Returns the statuses in words: `finished`, or `30 finished, 2 diverged`."""
        counts = Counter(row["status"] for row in self.rows)
        if len(counts) == 1:
            return next(iter(counts))
        return ", ".join(f"{count} {status}" for status, count in sorted(counts.items(), reverse=True))


def _drop_finals(row: Row) -> None:
    for name in [name for name in row if name.startswith("final.")]:
        del row[name]


def _up_to(at: int | None, step: int) -> int | None:
    return at if at is not None and at <= step else None
