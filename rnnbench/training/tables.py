"""From what a program measured to the rows of the record tables."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from rnnbench.probes.decay import decay
from rnnbench.tasks.base import Task
from rnnbench.tasks.sentences import SentenceTask

Columns = dict[str, list[Any]]


def summary_rows(task: Task, test_set: Any, metrics: dict[str, np.ndarray]) -> tuple[dict[str, float], list[dict]]:
    """A run's test summary, and its score broken down by what the task names in `breakdowns`.

    Args:
        task: the task.
        test_set: its test set, as numpy arrays.
        metrics: metrics of every example, each `(size,)`.

    Returns:
        The summary by name of metric, and rows of the `scores` table without run and step.
    """
    rows = []
    for by in task.breakdowns:
        where = test_set.info[by]
        for low, high in bins(where, logarithmic=by == "distance"):
            inside = metrics[task.score][(where >= low) & (where <= high)]
            where_and_what = {"metric": task.score, "by": by, "low": low, "high": high}
            rows.append({**where_and_what, "value": float(inside.mean()), "count": len(inside)})
    return task.summary(metrics, test_set), rows


def bins(values: Int[np.ndarray, " size"], *, logarithmic: bool) -> list[tuple[int, int]]:
    """The inclusive bins that hold any of the values: 1-2, 3-4, 5-8, 9-16, ... if logarithmic, else one for each."""
    present = np.unique(values).tolist()
    if not logarithmic:
        return [(value, value) for value in present]
    highs = sorted({max(2, 1 << (value - 1).bit_length()) for value in present})
    return [(1 if high == 2 else high // 2 + 1, high) for high in highs]


def train_rows(
    scalars: dict[str, Float[np.ndarray, " steps"]], first: int, done: int, every: int
) -> list[tuple[int, str, float]]:
    """(step, metric, value) rows of a segment: means over windows of `every` steps, named by their last step.

    Args:
        scalars: a run's scalars of every step of the segment.
        first: number of the segment's first step, from 1.
        done: number of the last step that was done; later ones are ignored.
        every: steps in a window; the segment's end closes one early.
    """
    steps = np.arange(first, done + 1)
    if len(steps) == 0:
        return []
    starts = np.flatnonzero(np.r_[True, np.diff((steps - 1) // every) > 0])
    ends = steps[np.r_[starts[1:], len(steps)] - 1]
    counts = np.diff(np.r_[starts, len(steps)])
    return [
        (int(step), name, float(mean))
        for name, values in scalars.items()
        for step, mean in zip(
            ends, np.add.reduceat(values[: len(steps)].astype(np.float64), starts) / counts, strict=True
        )
    ]


def columns(rows: Sequence[dict[str, Any]]) -> Columns:
    """Rows as columns."""
    return {name: [row[name] for row in rows] for name in rows[0]}


Flow = dict[tuple[int, str], Float[np.ndarray, "4 time"]]
"""Of one run, by (layer, state): at every time step the mean gradient norm over the probe batch, and its quantiles."""


def flow_rows(flow: Flow) -> list[dict[str, Any]]:
    """Rows of the `gradient_flow` table without run and step."""
    return [
        {"layer": layer, "state": state, "time": t, "norm": norm, "q10": q10, "q50": q50, "q90": q90}
        for (layer, state), norms in flow.items()
        for t, (norm, q10, q50, q90) in enumerate(norms.T.tolist())
    ]


def decay_metrics(flow: Flow) -> dict[str, float]:
    """`rnnbench.decay.decay` of the mean norms, as `<name>.<layer>.<state>`."""
    return {
        f"{name}.{layer}.{state}": value
        for (layer, state), norms in flow.items()
        for name, value in decay(norms[0]).items()
    }


def trace_parts(task: Task, gates: Callable[[Any, Any], dict[tuple[int, str], Any]]) -> list[dict[str, Any]]:
    """Returns the gates along the task's traced sentences: the `gate_traces` table without run and step, in parts.

    Args:
        task: the task; if it is not a `SentenceTask`, there are no parts.
        gates: inputs and mask to `probes.gate_values`.
    """
    if not isinstance(task, SentenceTask):
        return []
    traced = task.traced_sentences()
    if not traced.words:
        return []
    parts = []
    for (layer, gate), values in gates(traced.inputs, traced.mask).items():
        for sentence, words in enumerate(traced.words):
            own = np.asarray(values)[: len(words), sentence]
            time, unit = np.indices(own.shape)
            where = {"sentence": sentence, "layer": layer, "gate": gate, "time": time.ravel(), "unit": unit.ravel()}
            parts.append({**where, "word": np.repeat(words, own.shape[1]), "value": own.ravel()})
    return parts


def concatenated(parts: Sequence[dict[str, Any]]) -> dict[str, np.ndarray]:
    """Columns, one after the other; a scalar counts for all rows of its part."""
    sizes = [max(np.size(column) for column in part.values()) for part in parts]
    return {
        name: np.concatenate([np.broadcast_to(part[name], size) for part, size in zip(parts, sizes, strict=True)])
        for name in parts[0]
    }
