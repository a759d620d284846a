"""Final score against learning rate, from records: `python experiments/sweep_300/figure.py RESULTS FOLDER`."""

import sys
from pathlib import Path

import matplotlib as mpl
import pandas as pd
from matplotlib.figure import Figure

from rnnbench import load_runs
from rnnbench.comparison import cell_label
from rnnbench.plots import COLOURS, STYLE, save

AXIS = "optimizer.learning_rate"


def tuning(runs: pd.DataFrame) -> Figure:
    """For each cell the median over seeds of the final test error at each learning rate, with the quartiles."""
    with mpl.rc_context({**mpl.rcParamsDefault, **STYLE}):
        figure = Figure(figsize=(7.2, 5), layout="constrained")
        axes = figure.subplots()
        for cell, own in runs.groupby("model.name", sort=False):
            quartiles = own.groupby(AXIS)["final.mse"].quantile([0.25, 0.5, 0.75]).unstack()
            rates = quartiles.index.to_numpy()
            axes.fill_between(rates, quartiles[0.25], quartiles[0.75], color=COLOURS[cell], alpha=0.2, linewidth=0)
            axes.plot(rates, quartiles[0.5], color=COLOURS[cell], marker="o", label=cell_label(str(cell)))
        axes.axhline(runs["chance.mse"].iloc[0], color="#6B6B6B", linestyle="--", label="chance")
        axes.set(xscale="log", yscale="log", xlabel="learning rate", ylabel="test MSE after training")
        axes.legend()
    return figure


if __name__ == "__main__":
    source, folder = map(Path, sys.argv[1:])
    for path in save(tuning(load_runs(source)), folder / "learning_rates"):
        print(f"written: {path}")
