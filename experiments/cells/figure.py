"""Draws each cell's gradient flow, and says what arrives: `python experiments/cells/figure.py RESULTS FOLDER`.

Only the runs with the learning rate that did best on the tuning seeds are used, and of these only the other seeds.
"""

import sys
from pathlib import Path

import pandas as pd

from rnnbench import load_runs, load_table
from rnnbench.analysis.selection import relative_flow
from rnnbench.analysis.settings import label_runs
from rnnbench.analysis.statistics import quantile, results_of, tuned
from rnnbench.figures import gradient_flow, save

TUNING_SEEDS = range(3)


def arriving(flow: pd.DataFrame, runs: pd.DataFrame) -> pd.DataFrame:
    """Returns a row for each cell: its size, its score, and the share of the gradient that arrives at the first step.

    A share is the median over the runs that finished, of the state through which most arrives.
    """
    labelled = label_runs(runs)
    finished = labelled[labelled["status"] == "finished"]
    share = relative_flow(flow.merge(finished[["run_id", "line", "reached"]], on="run_id"))
    share = share[share["time"] == 0]
    rows = {}
    for line, own in labelled.groupby("line", sort=False):
        of_cell = runs[runs["run_id"].isin(own["run_id"])]
        rows[line] = {
            "units": of_cell["model.hidden_size"].iloc[0],
            "state": of_cell["size.state_size"].iloc[0],
            "learning rate": of_cell["optimizer.learning_rate"].iloc[0],
            "MSE": quantile(results_of(own), 0.5),
            "solved": f"{own['solved_at'].notna().sum()} of {len(own)}",
        }
        of_cell = share[share["line"] == line]
        for moment, at in (("at initialisation", 0), ("after training", of_cell["reached"])):
            medians = of_cell[of_cell["step"] == at].groupby("state")["share"].median()
            rows[line] |= {moment: medians.max(), f"through ({moment})": medians.idxmax() if len(medians) else ""}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("cell")


if __name__ == "__main__":
    source, folder = map(Path, sys.argv[1:])
    flow, runs = load_table(source, "gradient_flow"), load_runs(source)
    runs = tuned(runs, "optimizer.learning_rate", TUNING_SEEDS)
    for path in save(gradient_flow(flow, runs), folder / "gradient_flow"):
        print(f"written: {path}")
    table = arriving(flow, runs).sort_values("MSE")
    table.to_csv(folder / "gradients.csv", float_format="%.3g")
    print(table.to_string(float_format="{:.2g}".format))
