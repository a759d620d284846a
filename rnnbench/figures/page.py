"""The results as one HTML page, interactive and self-contained.

The page needs no network and no other file: plotly's library and all data are in it, and its content security policy
lets nothing else load or run. Text from records is escaped, for HTML and for plotly, which takes tags in labels for
markup. Figures are JSON that `report.js` draws as they come into view. The same records give the same bytes.
"""

import base64
import hashlib
import html
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from importlib import resources
from pathlib import Path
from string import Template
from typing import Any, NamedTuple

import pandas as pd
import plotly.graph_objects as go
from plotly.offline import get_plotlyjs

from rnnbench.analysis import selection
from rnnbench.analysis.settings import cell_label, config_keys, in_order, label_runs, metric_label, title
from rnnbench.analysis.statistics import results_of, summarize
from rnnbench.analysis.summaries import Rows, completions, heading, summary_rows
from rnnbench.analysis.tables import (
    load_gate_traces,
    load_gradient_flow,
    load_metrics,
    load_runs,
    load_scores,
    load_showcase,
)
from rnnbench.config.messages import describe
from rnnbench.figures import interactive
from rnnbench.records.files import replace, reworded
from rnnbench.records.plans import planned_runs

MAX_SETTINGS = 24
"""Of a task, that figures draw."""

PAGE = "report.html"


class _Markup(str):
    """HTML: all other text is escaped before it becomes some."""


class _Results(NamedTuple):
    """What the sections tell of; `drawn` are the runs of `compared` whose settings the figures draw."""

    folder: Path
    runs: pd.DataFrame
    compared: pd.DataFrame
    drawn: pd.DataFrame


def write_report(folder: Path, path: Path) -> Path:
    """Writes the page of the results in a folder, whole or not at all; its path.

    Raises:
        UserError: there are no records, or the page cannot be written.
    """
    page, advice = _page(folder), "--output chooses another file"
    with reworded(path, advice):
        path.parent.mkdir(parents=True, exist_ok=True)
    replace(path, page.encode(), advice)
    return path


def report_sweep(output: Path) -> None:
    """Writes the page of what a sweep has trained into its folder; what prevents it is told, and fails nothing."""
    try:
        print(f"written: {write_report(output, output / PAGE)}", file=sys.stderr)
    except Exception as error:  # a bug here, too: what was trained is what counts
        print(f"rnnbench: no report: {describe(error)[0]}", file=sys.stderr)


def _page(folder: Path) -> str:
    runs = load_runs(folder)
    compared = label_runs(runs)
    results = _Results(folder, runs, compared, _drawn(compared))
    sections = {
        "Comparison": _comparison,
        "Learning curves": _learning_curves,
        "Score against distance": _scores,
        "Gradient flow": _gradient_flow,
        "Gates word by word": _gates,
        "Completed sentences": _sentences,
        "Runs": _runs,
        "What failed": _failed,
    }
    ids = {name: name.lower().replace(" ", "-") for name in sections}
    plotly, script = get_plotlyjs(), _resource("report.js")
    return Template(_resource("report.html")).substitute(
        title=html.escape(f"rnnbench: {'/'.join(folder.resolve().parts[-2:])}"),
        about=html.escape(_about(results)),
        hashes=" ".join(map(_hash, (plotly, script))),
        style=_resource("report.css"),
        navigation=_joined(_Markup(f'<a href="#{ids[name]}">{name}</a>') for name in sections),
        sections=_joined(
            _Markup(f'<section id="{ids[name]}">\n<h2>{name}</h2>\n{tell(results)}\n</section>')
            for name, tell in sections.items()
        ),
        plotly=plotly,
        script=script,
    )


def _drawn(compared: pd.DataFrame) -> pd.DataFrame:
    """The runs of each task's best settings by the median, as many as a figure can tell apart."""
    kept = []
    for _, of_task in compared.assign(ranked=results_of(compared)).groupby("panel", sort=False):
        medians = of_task.groupby("line")["ranked"].median()
        best = medians.sort_values(ascending=of_task["score_goal"].iloc[0] == "min", kind="stable")
        kept.append(of_task[of_task["line"].isin(best.index[:MAX_SETTINGS])])
    return pd.concat(kept).drop(columns="ranked")


def _about(results: _Results) -> str:
    counts = Counter("unfinished" if status == "running" else status for status in results.compared["status"])
    told = ", ".join(f"{counts[kind]} {kind}" for kind in ("finished", "diverged", "unfinished") if counts[kind])
    text = f"{len(results.runs)} runs: {told}."
    for panel, of_task in results.compared.groupby("panel", sort=False):
        settings = of_task["line"].nunique()
        if settings > MAX_SETTINGS:
            text += f" Figures draw the {MAX_SETTINGS} best by median of the {settings} settings of {panel}."
    return text


def _comparison(results: _Results) -> _Markup:
    summary = summarize(results.compared)
    if summary.empty:
        return _paragraph("No run is finished yet.")
    shown = [
        _paragraph(
            "Of each setting over its seeds: the median with its 95 % bootstrap interval and the quartiles, how many "
            "solved the task (with Wilson's interval) and the step by which half of them had. A run that diverged "
            "counts as worse than any other. The command rnnbench compare compares every two settings seed by seed."
        )
    ]
    for panel, of_task in results.compared.groupby("panel", sort=False):
        order = [line for line, _ in in_order(of_task)]
        shown += [_heading(heading(of_task)), _table(summary_rows(summary, str(panel), order))]
    return _joined(shown)


def _learning_curves(results: _Results) -> _Markup:
    metrics = load_metrics(results.folder)
    table = metrics[metrics["split"] == "test"].merge(results.drawn, on="run_id")
    table = table[table["metric"] == table["score"]]
    if table.empty:
        return _paragraph("No run has been evaluated yet.")
    about = "The median over seeds, and minimum to maximum; a median ends where the first of its seeds ends."
    return _by_task(about, results, table, lambda rows: _embedded(interactive.learning_curves(rows)))


def _scores(results: _Results) -> _Markup:
    scores = selection.at_last_step(load_scores(results.folder))
    table = scores.merge(results.drawn[results.drawn["status"] == "finished"], on="run_id")
    table = table[table["metric"] == table["score"]]
    if table.empty:
        return _paragraph("No finished run has scores by distance.")
    about = "The score at the end of training of the finished runs: the median over seeds, and minimum to maximum."
    return _by_task(about, results, table, _scores_of_task)


def _scores_of_task(rows: pd.DataFrame) -> _Markup:
    return _joined(_embedded(interactive.scores(own)) for _, own in rows.groupby("by", sort=False))


def _gradient_flow(results: _Results) -> _Markup:
    flow = load_gradient_flow(results.folder).drop(columns=["q10", "q50", "q90"])
    flow = selection.relative_flow(flow).merge(results.drawn[["run_id", "panel", "line", "model"]], on="run_id")
    if flow.empty:
        return _paragraph("No gradient flow was recorded (probe.gradient_flow=true records it).")
    about = (
        "How much of the gradient reaches each earlier time step: the norm of dL/dh relative to its norm at the "
        "answer, the median over seeds; a cell state's dL/dc is dashed. The slider goes through training, and so do "
        "the maps, upwards."
    )
    return _by_task(about, results, flow, _gradient_flow_of_task)


def _gradient_flow_of_task(rows: pd.DataFrame) -> _Markup:
    curves = interactive.flow_curves(rows)
    names = [curve.name for curve in curves]
    maps = map(_embedded, interactive.gradient_maps(curves), names)
    return _joined([_embedded(interactive.gradient_flow(curves)), _grid(maps)])


def _gates(results: _Results) -> _Markup:
    traces = selection.at_last_step(load_gate_traces(results.folder)).merge(results.drawn, on="run_id")
    if traces.empty:
        return _paragraph("No gates were recorded (probe.gate_traces=true records them in sentences of a task).")
    about = "Of one run of each setting, the first that is finished: every unit's gate at every word, after training."
    return _by_task(about, results, traces, _gates_of_task)


def _gates_of_task(rows: pd.DataFrame) -> _Markup:
    """Maps of words and units; those of the first setting are open."""
    several = rows["layer"].nunique() > 1
    rows = rows.assign(late=rows["status"] != "finished").sort_values(["late", "seed"], kind="stable")
    shown: list[_Markup] = []
    for line, _ in in_order(rows):
        own = rows[rows["line"] == line]
        own = own[own["run_id"] == own["run_id"].iloc[0]]
        maps = []
        for (layer, gate, sentence), of_gate in own.groupby(["layer", "gate", "sentence"], sort=False):
            caption = f"{gate}{f', layer {layer + 1}' if several else ''}, sentence {sentence + 1}"
            maps.append(_embedded(interactive.gate_map(of_gate), caption))
        shown.append(_details(f"{line}, seed {own['seed'].iloc[0]}", _grid(maps), opened=not shown))
    return _joined(shown)


def _sentences(results: _Results) -> _Markup:
    showcase = load_showcase(results.folder)
    shown = []
    for panel, of_task in results.compared.groupby("panel", sort=False):
        if tables := completions(of_task, showcase):
            shown.append(_heading(str(panel)))
        for sentence, rows in tables.items():
            shown += [_paragraph(sentence), _table(rows)]
    if not shown:
        return _paragraph("No finished run has a task with sentences to complete.")
    about = "How probable each setting finds each continuation (the median), and how many seeds prefer the right one."
    return _joined([_paragraph(about), *shown])


def _runs(results: _Results) -> _Markup:
    keys = config_keys(results.runs)
    shown = []
    for panel, of_task in results.compared.groupby("panel", sort=False):
        rank = {line: number for number, (line, _) in enumerate(in_order(of_task))}
        of_task = of_task.sort_values("line", key=lambda lines: lines.map(rank), kind="stable")
        config = results.runs.loc[of_task.index, keys]
        differing = [key for key in keys if config[key].nunique(dropna=False) > 1]
        of_task = of_task.replace({"status": {"running": "unfinished"}})
        rows = [["setting", "seed", "status", metric_label(of_task["score"].iloc[0]), "step", "solved at", "config"]]
        for run, own in zip(of_task.to_dict("records"), config[differing].to_dict("records"), strict=True):
            texts = [_text(run[name]) for name in ("line", "seed", "status", "result", "reached", "solved_at")]
            rows.append([*texts, _details(run["run_id"], _config(own))])
        shown += [
            _heading(str(panel)),
            _details("config that all of these runs share", _config(config.drop(columns=differing).iloc[0].to_dict())),
            _Markup('<input type="search" placeholder="words of a setting, a status, a config" aria-label="filter">'),
            _table(rows),
        ]
    return _joined(shown)


def _config(values: Mapping[Any, Any]) -> _Markup:
    """Keys and values, without those that a run does not have."""
    lines = [f"{key}: {value}" for key, value in values.items() if not pd.isna(value)]
    return _element("pre", "\n".join(lines))


def _failed(results: _Results) -> _Markup:
    asked = results.runs.get("train.steps", pd.Series(pd.NA, results.runs.index))
    folders = [os.path.relpath(folder, results.folder) for folder in results.runs["folder"]]
    table = results.compared.assign(asked=asked, folder=folders)
    shown = []
    for status, kind in (("diverged", "Diverged"), ("running", "Not finished")):
        own = table[table["status"] == status][["panel", "line", "seed", "reached", "asked", "folder"]]
        rows = [[_text(value) for value in row] for row in own.itertuples(index=False)]
        if rows:
            shown += [_heading(kind), _table([["task", "setting", "seed", "at step", "of", "folder"], *rows])]
    begun = set(results.runs["run_id"])
    missing = [
        [title(about["task"]), cell_label(about["model"]), str(about["steps"]), run_id]
        for run_id, about in planned_runs(results.folder).items()
        if run_id not in begun
    ]
    if missing:
        shown += [_heading("Asked for by a sweep, and not begun"), _table([["task", "cell", "steps", "run"], *missing])]
    return _joined(shown) or _paragraph("Nothing: every run is finished.")


def _by_task(about: str, results: _Results, table: pd.DataFrame, draw: Callable[[pd.DataFrame], _Markup]) -> _Markup:
    """What is drawn of each task that has rows, below its name."""
    shown = [_paragraph(about)]
    for panel in results.compared["panel"].unique():
        rows = table[table["panel"] == panel]
        if not rows.empty:
            shown += [_heading(panel), draw(rows)]
    return _joined(shown)


def _embedded(figure: go.Figure, caption: str = "") -> _Markup:
    """A figure as `report.js` finds it: where it goes, then what it is."""
    data = figure.to_json(engine="json")  # without a "<", so that nothing in it ends the script
    plot = f'<div class="plot" style="height:{figure.layout.height}px"></div>'
    title = _element("figcaption", caption) if caption else ""
    return _Markup(f'<figure>{title}{plot}<script type="application/json">{data}</script></figure>')


def _text(value: Any) -> str:
    if pd.isna(value):
        return "-"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _element(name: str, content: str) -> _Markup:
    """An HTML element; what is in it is escaped, unless it is markup."""
    inner = content if isinstance(content, _Markup) else html.escape(content)
    return _Markup(f"<{name}>{inner}</{name}>")


def _joined(parts: Iterable[_Markup]) -> _Markup:
    return _Markup("\n".join(parts))


def _paragraph(text: str) -> _Markup:
    return _element("p", text)


def _heading(text: str) -> _Markup:
    return _element("h3", text)


def _grid(figures: Iterable[_Markup]) -> _Markup:
    return _Markup(f'<div class="grid">\n{_joined(figures)}\n</div>')


def _details(summary: str, content: _Markup, *, opened: bool = False) -> _Markup:
    return _Markup(f"<details{' open' if opened else ''}>{_element('summary', summary)}{content}</details>")


def _table(rows: Rows) -> _Markup:
    """A table, its headings first; a row's first cell names it."""
    headings, *body = rows
    head = _row(_element("th", cell) for cell in headings)
    lines = _joined(
        _row([_element("th", first), *(_element("td", cell) for cell in others)]) for first, *others in body
    )
    inner = _Markup(f"{_element('thead', head)}{_element('tbody', lines)}")
    return _Markup(f'<div class="table">{_element("table", inner)}</div>')


def _row(cells: Iterable[_Markup]) -> _Markup:
    return _element("tr", _Markup("".join(cells)))


def _hash(script: str) -> str:
    """What lets this script run, and no other."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"


def _resource(name: str) -> str:
    return resources.files("rnnbench").joinpath(name).read_text(encoding="utf-8")
