"""Draws what each cell reaches, and says which claims hold: `python experiments/tasks/figure.py RESULTS PAIRS FOLDER`.

In the grid of tasks and cells, a score is placed between the task's chance level, 0, and a perfect score, 1: an error
of 0 or a share of 1. Scores worse than chance count as 0.
"""

import sys
from pathlib import Path

import matplotlib as mpl
import pandas as pd
from matplotlib.figure import Figure

from rnnbench import load_runs, load_scores
from rnnbench.analysis.labels import cell_label, metric_label, title
from rnnbench.analysis.settings import label_runs
from rnnbench.figures import STYLE, save, score_by_value, scores_by

FAMILIES = {
    "language": ["sentence_completion", "ambiguous_names"],
    "long time lags": ["adding", "multiplication", "temporal_order", "long_lag", "two_sequence", "embedded_reber"],
    "recall": [
        *("copy", "variable_copy", "selective_copy", "reverse", "sorting", "repeat_copy", "compression"),
        *("associative_recall", "induction_heads", "echo", "n_back", "memorization"),
    ],
    "regular languages": ["parity", "even_pairs", "cycle_navigation", "modular_arithmetic", "permutations"],
    "counters and stacks": ["majority", "anbn", "anbncn", "dyck", "shuffle_dyck", "modular_arithmetic_brackets"],
    "images, signals": ["digits", "irregular_adding", "mackey_glass", "lorenz"],
}
CELLS = ["rnn", "lstm", "gru"]
FORMAL = ["regular languages", "counters and stacks"]
REGULAR = ["parity", "even_pairs", "cycle_navigation", "modular_arithmetic"]
LEAST = 2
"""A cell solves a task if at least so many of its runs do."""


def table(runs: pd.DataFrame) -> pd.DataFrame:
    """Returns a row for each task and cell: the median, lowest and highest final score, chance, and solved seeds.

    `share` is how far the median is on the way from chance to a perfect score.
    """
    labelled = label_runs(runs).assign(task=runs["task.name"].to_numpy())
    rows = []
    for family, names in FAMILIES.items():
        for task in names:
            for cell in CELLS:
                own = labelled[(labelled["task"] == task) & (labelled["model"] == cell)]
                if own.empty:
                    continue
                scores, chance = own["result"], own["chance"].iloc[0]
                perfect = 0.0 if own["score_goal"].iloc[0] == "min" else 1.0
                rows.append(
                    {
                        "family": family,
                        "task": task,
                        "cell": cell,
                        "score": own["score"].iloc[0],
                        "chance": chance,
                        "lowest": scores.min(),
                        "median": scores.median(),
                        "highest": scores.max(),
                        "share": max(0.0, (scores.median() - chance) / (perfect - chance)),
                        "solved": int(own["solved_at"].notna().sum()),
                        "seeds": len(own),
                    }
                )
    return pd.DataFrame(rows)


def in_words(found: pd.DataFrame) -> str:
    """Returns a Markdown table: a row for each task, with the median, lowest and highest score of each cell."""
    lines = ["| task | score | chance | RNN | LSTM | GRU |", "|---|---|---|---|---|---|"]
    for task, own in found.groupby("task", sort=False):
        by_cell = own.set_index("cell").loc[CELLS]
        scores = (f"{row.median:.3g} ({row.lowest:.3g}..{row.highest:.3g})" for row in by_cell.itertuples())
        about = (title(task), metric_label(own["score"].iloc[0]), f"{own['chance'].iloc[0]:.3g}")
        lines.append(f"| {' | '.join((*about, *scores))} |")
    return "\n".join(lines)


def claims(found: pd.DataFrame, pairs: pd.DataFrame) -> pd.DataFrame:
    """Returns the verdict on each claim, by the rules in README.md.

    Args:
        found: from `table`.
        pairs: the runs of `associative_recall` with 2, 4, 8 and 16 pairs.
    """
    solved = {cell: {*own["task"][own["solved"] >= LEAST]} for cell, own in found.groupby("cell")}
    both = solved["rnn"] & solved["lstm"] & {*REGULAR}
    verdicts = {
        "regular languages generalise in RNN and LSTM": (
            "holds" if both == {*REGULAR} else "holds in part" if both else "does not hold"
        )
    }
    for task in ("anbn", "dyck"):
        by = {cell for cell in CELLS if task in solved[cell]}
        verdicts[f"{title(task)} is learned by the LSTM alone"] = (
            "holds" if by == {"lstm"} else "does not hold" if by else "undecided"
        )
    for cell in CELLS:
        medians = pairs[pairs["model.name"] == cell].groupby("task.pairs")["final.accuracy"].median()
        falls = (medians.sort_index().diff().dropna() < 0).all()
        verdicts[f"associative recall falls with the number of pairs, {cell_label(cell)}"] = (
            "holds" if falls else "does not hold"
        )
    return pd.DataFrame({"claim": verdicts.keys(), "verdict": verdicts.values()})


def draw(found: pd.DataFrame) -> Figure:
    """Draws a cell of a grid for each task and cell: the darker, the nearer to a perfect score; a dot if solved."""
    tasks = list(dict.fromkeys(found["task"]))
    shares = found.pivot(index="task", columns="cell", values="share").loc[tasks, CELLS]
    solved = found.pivot(index="task", columns="cell", values="solved").loc[tasks, CELLS]
    seeds = found["seeds"].max()
    with mpl.rc_context({**mpl.rcParamsDefault, **STYLE}):
        figure = Figure(figsize=(7.2, 0.42 * len(tasks) + 1.6), layout="constrained")
        axes = figure.subplots()
        axes.imshow(shares, cmap="YlGnBu", vmin=0, vmax=1, aspect="auto")
        for row in range(len(tasks)):
            for column in range(len(CELLS)):
                share, count = shares.iloc[row, column], solved.iloc[row, column]
                text = f"{100 * share:.0f}" + (f"   solved {count} of {seeds}" if count else "")
                colour = "white" if share > 0.55 else "black"
                axes.text(column, row, text, ha="center", va="center", color=colour, fontsize=11)
        axes.set_xticks(range(len(CELLS)), [cell_label(cell) for cell in CELLS])
        axes.set_yticks(range(len(tasks)), [title(task) for task in tasks], fontsize=12)
        axes.xaxis.tick_top()
        axes.tick_params(length=0)
        for start in found.drop_duplicates("family")["task"]:
            axes.axhline(tasks.index(start) - 0.5, color="black", linewidth=1.5)
        figure.suptitle("Median score, in % of the way from chance to perfect", fontsize=13)
    return figure


if __name__ == "__main__":
    source, of_pairs, folder = map(Path, sys.argv[1:])
    runs, pairs, scores = load_runs(source), load_runs(of_pairs), load_scores(source)
    found = table(runs)
    formal = runs["run_id"][runs["task.name"].isin([task for family in FORMAL for task in FAMILIES[family]])]
    figures = {
        "tasks": draw(found),
        "score_by_length": scores_by(scores[scores["run_id"].isin(formal)], runs, "length"),
        "score_by_pairs": score_by_value(pairs, "task.pairs"),
    }
    for name, figure in figures.items():
        for path in save(figure, folder / name):
            print(f"written: {path}")
    verdicts = claims(found, pairs)
    found.to_csv(folder / "scores.csv", index=False, float_format="%.4g")
    verdicts.to_csv(folder / "claims.csv", index=False)
    print(in_words(found))
    print(verdicts.to_string(index=False))
