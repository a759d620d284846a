"""Draws the score against the sizes of model and state: `python experiments/sizes/figure.py RESULTS FOLDER`.

Each cell of each size has the learning rate that did best on the tuning seeds, and is drawn with the other seeds.
"""

import sys
from pathlib import Path

import pandas as pd

from rnnbench import load_runs
from rnnbench.analysis.labels import cell_label
from rnnbench.analysis.settings import label_runs
from rnnbench.analysis.statistics import quantile, results_of, tuned
from rnnbench.figures import save, score_by_value

TUNING_SEEDS = range(2)


def tuned_by_size(runs: pd.DataFrame) -> pd.DataFrame:
    """Returns the runs of the learning rate that each cell of each size has chosen, on the other seeds."""
    by_size = runs.groupby("model.parameters", sort=True)
    return pd.concat([tuned(own, "optimizer.learning_rate", TUNING_SEEDS) for _, own in by_size], ignore_index=True)


def medians(runs: pd.DataFrame) -> pd.DataFrame:
    """Returns a row for each cell and size: the sizes, the learning rate, and the median score with its range."""
    rows = []
    for (budget, cell), own in runs.groupby(["model.parameters", "model.name"], sort=False):
        scores = results_of(label_runs(own))
        rows.append(
            {
                "budget": budget,
                "cell": cell_label(cell),
                "parameters": own["size.parameters"].iloc[0],
                "state": own["size.state_size"].iloc[0],
                "units": own["model.hidden_size"].iloc[0],
                "learning rate": own["optimizer.learning_rate"].iloc[0],
                "lowest": scores.min(),
                "median": quantile(scores, 0.5),
                "highest": scores.max(),
            }
        )
    return pd.DataFrame(rows)


if __name__ == "__main__":
    source, folder = map(Path, sys.argv[1:])
    runs = tuned_by_size(load_runs(source))
    lines = runs.drop(columns="optimizer.learning_rate")  # so that all sizes of a cell make one line
    for key in ("parameters", "state_size"):
        for path in save(score_by_value(lines, f"size.{key}"), folder / f"score_by_{key}"):
            print(f"written: {path}")
    table = medians(runs)
    for size in ("parameters", "state"):
        print(f"rank correlation of the median with {size}: {table[size].corr(table['median'], method='spearman'):.2f}")
    table.to_csv(folder / "scores.csv", index=False, float_format="%.4g")
    print(table.to_string(index=False, float_format="{:.3g}".format))
