"""Runs and tables to draw, and what a figure shows of them."""

import pandas as pd

from tests.helpers import run_row

VALUES = {"rnn": (0.5, 0.6, 0.55), "gru": (0.7, 1.0, 0.9)}
"""Scores of three seeds. The medians differ from the means and from the middle seeds."""


def run(model, seed, **more):
    """Returns a row of the runs table: a run that has stopped at step 20, with a score of `VALUES` or 1."""
    result = VALUES.get(model, (1, 1, 1))[seed % 3]
    return run_row(model, seed, result, **{"step": 20, "chance.accuracy": 0.125} | more)


def rows_of(runs, **columns):
    """Returns a table with a row for each run and each entry of the columns."""
    return pd.concat(
        [pd.DataFrame({"run_id": run_id, "step": 20, "layer": 0} | columns) for run_id in runs["run_id"]],
        ignore_index=True,
    )


def median_line(axes, label):
    """Returns the only line with this label in matplotlib's axes."""
    (line,) = [line for line in axes.lines if line.get_label() == label]
    return line


def legend(figure):
    """Returns the entries of the legend of a matplotlib figure."""
    return [text.get_text() for text in figure.legends[0].get_texts()]


def trace(figure, name):
    """Returns the only trace with this name in a plotly figure, given as a dictionary."""
    (found,) = [trace for trace in figure["data"] if trace.get("name") == name]
    return found
