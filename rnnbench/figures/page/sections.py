"""The sections of the page, as markup."""

import os
from collections.abc import Callable, Mapping
from typing import Any

import pandas as pd
from markupsafe import Markup

from rnnbench.analysis import selection
from rnnbench.analysis.labels import cell_label, metric_label, title
from rnnbench.analysis.numbers import number
from rnnbench.analysis.settings import config_keys, in_order
from rnnbench.analysis.statistics import CONFIDENCE, summarize
from rnnbench.analysis.summaries import completions, heading, notes, summary_rows
from rnnbench.analysis.tables import load_metrics, load_scores, load_showcase, load_table
from rnnbench.errors import UserError
from rnnbench.figures import interactive
from rnnbench.figures.page.markup import embedded, joined, parts
from rnnbench.figures.page.results import Results
from rnnbench.figures.probed import probe_figures
from rnnbench.figures.style import as_data
from rnnbench.records.plans import planned_runs


def _comparison(results: Results) -> Markup:
    summary = summarize(results.labelled)
    if summary.empty:
        return parts.paragraph("No run is finished yet.")
    shown = [
        parts.paragraph(
            f"For each setting, over its seeds: the median with its {CONFIDENCE:.0%} bootstrap interval and the "
            "quartiles, how many solved the task (with Wilson's interval), and the step by which half of them had. A "
            "run that diverged counts as worse than any other. rnnbench compare also compares each pair of settings "
            "seed by seed."
        )
    ]
    for panel, of_task in results.labelled.groupby("panel", sort=False):
        order = [line for line, _ in in_order(of_task)]
        shown += [parts.heading(heading(of_task)), parts.table(summary_rows(summary, str(panel), order))]
    shown += map(parts.paragraph, notes(summary, pd.DataFrame()))
    return joined(shown)


def _learning_curves(results: Results) -> Markup:
    metrics = load_metrics(results.folder)
    table = metrics[metrics["split"] == "test"].merge(results.drawn, on="run_id")
    table = table[table["metric"] == table["score"]]
    if table.empty:
        return parts.paragraph("No run has been evaluated yet.")
    about = "The median over seeds, and minimum to maximum. A median ends when the first of its seeds ends."
    return _by_task(about, results, table, lambda rows: embedded(interactive.learning_curves(rows, results.looks)))


def _scores(results: Results) -> Markup:
    scores = selection.at_last_step(load_scores(results.folder))
    table = scores.merge(results.drawn[results.drawn["status"] == "finished"], on="run_id")
    table = table[table["metric"] == table["score"]]
    if table.empty:
        return parts.paragraph("No finished run has scores that are broken down.")
    about = "The score of finished runs at the end of training: the median over seeds, and minimum to maximum."

    def draw(rows: pd.DataFrame) -> Markup:
        return joined(embedded(interactive.scores(own, results.looks)) for _, own in rows.groupby("by", sort=False))

    return _by_task(about, results, table, draw)


def _gradient_flow(results: Results) -> Markup:
    flow = load_table(results.folder, "gradient_flow")
    flow = flow[flow["run_id"].isin(results.drawn["run_id"])]
    if not flow.empty:  # without q10, q50 and q90, which are not drawn
        flow = selection.relative_flow(flow[["run_id", "step", "layer", "state", "time", "norm"]])
    if flow.empty:
        return parts.paragraph("No gradient flow was recorded (probe.at_evaluation=[gradient_flow] records it).")
    flow = flow.merge(results.drawn[["run_id", "panel", "line", "model"]], on="run_id")
    about = (
        "How much of the gradient reaches each earlier time step: the norm of dL/dh relative to its norm at the "
        "answer, as median over seeds. The other states of a cell are dashed. The slider goes through training; on the "
        "maps, training goes upwards."
    )

    def draw(rows: pd.DataFrame) -> Markup:
        curves = interactive.flow_curves(rows, results.looks)
        maps = map(embedded, interactive.gradient_maps(curves), [curve.name for curve in curves])
        return joined([embedded(interactive.gradient_flow(curves)), parts.grid(maps)])

    return _by_task(about, results, flow, draw)


def _gates(results: Results) -> Markup:
    traces = selection.at_last_step(load_table(results.folder, "gate_traces")).merge(results.drawn, on="run_id")
    if traces.empty:
        return parts.paragraph(
            "No gates were recorded (probe.at_end=[gate_traces] records them for tasks with sentences)."
        )
    about = "Every unit's gate at every word, after training, for the first finished run of each setting."
    return _by_task(about, results, traces, _gates_of_task)


def _gates_of_task(rows: pd.DataFrame) -> Markup:
    """Returns maps of words and units. Those of the first setting are expanded."""
    several = rows["layer"].nunique() > 1
    rows = rows.assign(late=rows["status"] != "finished").sort_values(["late", "seed"], kind="stable")
    shown: list[Markup] = []
    for line, _ in in_order(rows):
        own = rows[rows["line"] == line]
        own = own[own["run_id"] == own["run_id"].iloc[0]]
        maps = []
        for (layer, gate, sentence), of_gate in own.groupby(["layer", "gate", "sentence"], sort=False):
            caption = f"{gate}{f', layer {layer + 1}' if several else ''}, sentence {sentence + 1}"
            maps.append(embedded(interactive.gate_map(of_gate), caption))
        shown.append(parts.details(f"{line}, seed {own['seed'].iloc[0]}", parts.grid(maps), opened=not shown))
    return joined(shown)


def _probes(results: Results) -> Markup:
    """Returns the figures of all other tables of probes, as images."""
    drawers = {name: functions for name, functions in results.drawers.items() if name not in DRAWN_INTERACTIVELY}
    shown = []
    for name, draw in probe_figures(results.folder, results.runs, drawers).items():
        try:
            shown.append(parts.picture(as_data(draw()), name.replace("_", " ")))
        except UserError:  # there is nothing to draw in this table
            continue
    return joined(shown) or parts.paragraph("No other probe has been measured; rnnbench probe measures them.")


def _sentences(results: Results) -> Markup:
    showcase = load_showcase(results.folder)
    shown = []
    for panel, of_task in results.labelled.groupby("panel", sort=False):
        if tables := completions(of_task, showcase):
            shown.append(parts.heading(str(panel)))
        for sentence, rows in tables.items():
            shown += [parts.paragraph(sentence), parts.table(rows)]
    if not shown:
        return parts.paragraph("No finished run has a task with sentences to complete.")
    about = "The median probability of each continuation, and how many seeds prefer the right one."
    return joined([parts.paragraph(about), *shown])


def _runs(results: Results) -> Markup:
    keys = config_keys(results.runs)
    shown = []
    for panel, of_task in results.labelled.groupby("panel", sort=False):
        rank = {line: place for place, (line, _) in enumerate(in_order(of_task))}
        of_task = of_task.sort_values("line", key=lambda lines: lines.map(rank), kind="stable")
        config = results.runs.loc[of_task.index, keys]
        differing = [key for key in keys if config[key].nunique(dropna=False) > 1]
        of_task = of_task.replace({"status": {"running": "unfinished"}})
        rows = [["setting", "seed", "status", metric_label(of_task["score"].iloc[0]), "step", "solved at", "config"]]
        for run, own in zip(of_task.to_dict("records"), config[differing].to_dict("records"), strict=True):
            texts = [_text(run[name]) for name in ("line", "seed", "status", "result", "reached", "solved_at")]
            rows.append([*texts, parts.details(run["run_id"], _config(own))])
        shown += [
            parts.heading(str(panel)),
            parts.details("config that all of these runs share", _config(config.drop(columns=differing).iloc[0])),
            parts.filter(),
            parts.table(rows),
        ]
    return joined(shown)


def _config(values: "Mapping[Any, Any] | pd.Series[Any]") -> Markup:
    """Returns keys and values, leaving out missing ones."""
    lines = [f"{key}: {value}" for key, value in values.items() if not pd.isna(value)]
    return parts.preformatted("\n".join(lines))


def _failed(results: Results) -> Markup:
    asked = results.runs.get("train.steps", pd.Series(pd.NA, results.runs.index))
    folders = [os.path.relpath(folder, results.folder) for folder in results.runs["folder"]]
    table = results.labelled.assign(asked=asked, folder=folders)
    shown: list[Markup] = []
    for status, kind in (("diverged", "Diverged"), ("running", "Not finished")):
        own = table[table["status"] == status][["panel", "line", "seed", "reached", "asked", "folder"]]
        rows = [[_text(value) for value in row] for row in own.itertuples(index=False)]
        if rows:
            shown += [parts.heading(kind), parts.table([["task", "setting", "seed", "at step", "of", "folder"], *rows])]
    begun = set(results.runs["run_id"])
    missing = [
        [title(about["task"]), cell_label(about["model"]), str(about["steps"]), run_id]
        for run_id, about in planned_runs(results.folder).items()
        if run_id not in begun
    ]
    if missing:
        shown += [
            parts.heading("Part of a sweep, but not started"),
            parts.table([["task", "cell", "steps", "run"], *missing]),
        ]
    return joined(shown) or parts.paragraph("Nothing: every run is finished.")


def _by_task(about: str, results: Results, table: pd.DataFrame, draw: Callable[[pd.DataFrame], Markup]) -> Markup:
    """Returns the drawing of each task that has rows, below its name."""
    shown = [parts.paragraph(about)]
    for panel in results.labelled["panel"].unique():
        rows = table[table["panel"] == panel]
        if not rows.empty:
            shown += [parts.heading(panel), draw(rows)]
    return joined(shown)


def _text(value: Any) -> str:
    return number(value, 4) if isinstance(value, float) or pd.isna(value) else str(value)


DRAWN_INTERACTIVELY = ("gradient_flow", "gate_traces")
"""Tables that have their own section."""

SECTIONS: Mapping[str, Callable[[Results], Markup]] = {
    "Comparison": _comparison,
    "Learning curves": _learning_curves,
    "Score breakdowns": _scores,
    "Gradient flow": _gradient_flow,
    "Gates word by word": _gates,
    "Other probes": _probes,
    "Completed sentences": _sentences,
    "Runs": _runs,
    "What failed": _failed,
}
"""The sections by their headings, in the order of the page."""
