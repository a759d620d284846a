"""Draws what each cell reaches in each task: `python experiments/tasks/figure.py RESULTS FOLDER`.

A score is placed between the task's chance level, 0, and a perfect score, 1: an error of 0 or a share of 1. Errors
worse than chance count as 0.
"""

import sys
from pathlib import Path

import matplotlib as mpl
import pandas as pd
from matplotlib.figure import Figure

from rnnbench import load_runs
from rnnbench.analysis.labels import cell_label
from rnnbench.analysis.settings import label_runs
from rnnbench.figures import STYLE, save

FAMILIES = {
    "language": ["sentence_completion"],
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
        axes.set_yticks(range(len(tasks)), [task.replace("_", " ") for task in tasks], fontsize=12)
        axes.xaxis.tick_top()
        axes.tick_params(length=0)
        for start in found.drop_duplicates("family")["task"]:
            axes.axhline(tasks.index(start) - 0.5, color="black", linewidth=1.5)
        axes.set_title("Median score, in % of the way from chance to perfect", fontsize=13, pad=12)
    return figure


if __name__ == "__main__":
    source, folder = map(Path, sys.argv[1:])
    found = table(load_runs(source))
    for path in save(draw(found), folder / "tasks"):
        print(f"written: {path}")
    found.to_csv(folder / "scores.csv", index=False, float_format="%.4g")
    print(found.to_string(index=False, float_format="{:.3g}".format))
