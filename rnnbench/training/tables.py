"""Converts what a program measured to the tables of the records, each for a whole population."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Float, Int, PyTree

from rnnbench.model import Model
from rnnbench.probes.base import Probe
from rnnbench.records.schemas import SCHEMAS, make_table, table_schema
from rnnbench.tasks.base import Example, Task
from rnnbench.tasks.sentences import Completion

Tables = dict[str, pa.Table]


def train_metrics(
    scalars: Mapping[str, Float[np.ndarray, "members steps"]],
    run_ids: Sequence[str | None],
    first: int,
    done: Sequence[int],
    every: int,
) -> pa.Table:
    """Returns rows of `metrics` for a segment's training steps: means over windows, labelled with their last step.

    Args:
        scalars: the scalars of every step.
        run_ids: the members' run ids; None for a member that is not recorded.
        first: number of the segment's first step, from 1.
        done: number of the last step that each member took; later ones are ignored.
        every: steps in a window; the last window may be shorter.
    """
    parts = []
    for i, (run_id, last) in enumerate(zip(run_ids, done, strict=True)):
        steps = np.arange(first, last + 1)
        if run_id is None or len(steps) == 0:
            continue
        starts = np.flatnonzero(np.r_[True, np.diff((steps - 1) // every) > 0])
        ends = np.r_[starts[1:], len(steps)]
        for name, values in scalars.items():
            means = np.add.reduceat(values[i, : len(steps)].astype(np.float64), starts) / (ends - starts)
            parts.append({"run_id": run_id, "step": steps[ends - 1], "split": "train", "metric": name, "value": means})
    return make_table(SCHEMAS["metrics"], parts)


def last_values(metrics: pa.Table, split: str, metric: str) -> dict[str, float]:
    """Returns each run's last value of a metric by run id, from rows of `metrics` in the order of their steps."""
    rows = metrics.filter(pc.and_(pc.equal(metrics["split"], split), pc.equal(metrics["metric"], metric)))
    return dict(zip(rows["run_id"].to_pylist(), rows["value"].to_pylist(), strict=True))


def evaluation_metrics(summaries: Sequence[Mapping[str, float]], run_ids: Sequence[str | None], step: int) -> pa.Table:
    """Returns rows of `metrics` for an evaluation.

    Args:
        summaries: each member's test summary.
        run_ids: the members' run ids; None for a member that is not recorded.
        step: training steps done.
    """
    return make_table(
        SCHEMAS["metrics"],
        [
            {"run_id": run_id, "step": step, "split": "test", "metric": [*summary], "value": [*summary.values()]}
            for summary, run_id in zip(summaries, run_ids, strict=True)
            if run_id is not None
        ],
    )


def scores(
    tests: Mapping[str, Float[np.ndarray, "members size"]],
    answers: Float[np.ndarray, "members size answers"] | None,
    tasks: Sequence[Task],
    test_sets: Sequence[Example],
    run_ids: Sequence[str | None],
    step: int,
) -> pa.Table:
    """Returns rows of `scores`: the test score for each of the task's `breakdowns`.

    Args:
        tests: metrics of every example of the test set.
        answers: the score of every answer, if a breakdown differs between the answers of an example.
        tasks: the members' tasks.
        test_sets: the members' test sets, as NumPy arrays.
        run_ids: the members' run ids; None for a member that is not recorded.
        step: training steps done.
    """
    parts = []
    for i, (task, test_set, run_id) in enumerate(zip(tasks, test_sets, run_ids, strict=True)):
        if run_id is None:
            continue
        for by in task.breakdowns:
            where = np.asarray(test_set.info[by])
            values = tests[task.score][i]
            if where.ndim > 1:
                assert answers is not None, "or the task would have no such breakdown"
                values = answers[i]
            for low, high in bins(where, logarithmic=by in ("distance", "length")):
                inside = values[(where >= low) & (where <= high)]
                about = {"run_id": run_id, "step": step, "metric": task.score, "by": by, "low": low, "high": high}
                parts.append({**about, "value": inside.mean(), "count": len(inside)})
    return make_table(SCHEMAS["scores"], parts)


def bins(values: Int[np.ndarray, "..."], *, logarithmic: bool) -> list[tuple[int, int]]:
    """Returns the inclusive bins that contain values: 1-2, 3-4, 5-8, ... if logarithmic, otherwise one per value."""
    present = np.unique(values).tolist()
    if not logarithmic:
        return [(value, value) for value in present]
    highs = sorted({max(2, 1 << (value - 1).bit_length()) for value in present})
    return [(1 if high == 2 else high // 2 + 1, high) for high in highs]


def probe_tables(
    probe: Probe,
    measured: Sequence[PyTree],
    model: Model,
    tasks: Sequence[Task],
    run_ids: Sequence[str | None],
    step: int,
) -> Tables:
    """Returns the tables of a probe, and its rows of `metrics`, which include its headline. Empty tables are left out.

    Args:
        probe: the probe.
        measured: what it measured in each member.
        model: the structure of the members' model.
        tasks: the members' tasks.
        run_ids: the members' run ids; None for a member that is not recorded.
        step: training steps done.

    Raises:
        ValueError: the probe returned rows for a table, or columns, that it does not declare.
    """
    schemas = {name: table_schema(columns) for name, columns in probe.tables.items()}
    schemas["metrics"] = SCHEMAS["metrics"]
    parts: dict[str, list[dict[str, Any]]] = {name: [] for name in schemas}
    for own, task, run_id in zip(measured, tasks, run_ids, strict=True):
        if run_id is None:
            continue
        key = {"run_id": run_id, "step": step}
        for name, rows in probe.rows(own, model, task).items():
            if name not in parts:
                raise ValueError(f"probe {probe.name}: expected rows of {', '.join(schemas)}, got some of {name!r}")
            parts[name] += [{**key, **part} for part in rows]
        parts["metrics"] += [
            {**key, "split": "probe", "metric": name, "value": value}
            for name, value in probe.headline(own, model).items()
            if not np.isnan(value)
        ]
    return {name: make_table(schemas[name], own) for name, own in parts.items() if own}


def showcase(shown: Mapping[str, Sequence[Completion]], step: int) -> pa.Table:
    """Returns the `showcase` table from each run's completions of its task's sentences, by run id."""
    schema = SCHEMAS["showcase"]
    rows = [{"run_id": run_id, "step": step, **row._asdict()} for run_id, of_run in shown.items() for row in of_run]
    return pa.Table.from_pylist(rows, schema=schema)


def merged(*several: Tables) -> Tables:
    """Returns all tables by name; tables with the same name are concatenated."""
    names = dict.fromkeys(name for tables in several for name in tables)
    return {name: pa.concat_tables([tables[name] for tables in several if name in tables]) for name in names}
