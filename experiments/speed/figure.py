"""Draws what benchmark.py stored: `python experiments/speed/figure.py experiments/speed/results.json FOLDER`."""

import json
import sys
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rnnbench.figures import COLOURS, STYLE, save

NAMES = {"rnn": "RNN", "lstm": "LSTM", "gru": "GRU"}


def bars(axes: Axes, rows: list[dict[str, Any]], key: str, scale: float) -> None:
    """Draws a group per shape and a bar per cell: the median, with a line from the smallest to the largest value."""
    shapes = list(dict.fromkeys(row["shape"] for row in rows))
    for row in rows:
        place = shapes.index(row["shape"]) + 0.27 * (list(NAMES).index(row["cell"]) - 1)
        value = {name: scale * number for name, number in row[key].items()}
        axes.bar(place, value["median"], width=0.25, color=COLOURS[row["cell"]])
        axes.plot([place, place], [value["min"], value["max"]], color="#333333", linewidth=1.5)
        axes.annotate(
            f"{value['median']:.2g}",
            (place, value["max"]),
            xytext=(0, 3),
            textcoords="offset points",
            ha="center",
            fontsize=11,
        )
    sizes = [next((r["length"], r["batch"], r["hidden"]) for r in rows if r["shape"] == shape) for shape in shapes]
    axes.set_xticks(range(len(shapes)), [f"{shape}\n{size}" for shape, size in zip(shapes, sizes, strict=True)])


def speed(results: dict[str, Any]) -> Figure:
    """Draws the speed relative to PyTorch at its best, and the share of the machine's matmul peak."""
    rows = results["steps"]["results"]
    with mpl.rc_context({**mpl.rcParamsDefault, **STYLE}):
        figure = Figure(figsize=(13.2, 5.4), layout="constrained")
        left, right = figure.subplots(1, 2)
        bars(left, rows, "times_torch", 1)
        left.axhline(1, color="#6B6B6B", linestyle="--", linewidth=1.8)
        left.set_title("Speed relative to PyTorch's best")
        left.set_ylabel("times as fast")
        bars(right, rows, "share_of_peak", 100)
        right.set_title("Share of the matmul peak")
        right.set_ylabel("%")
        for axes in (left, right):
            axes.set_xlabel("shape (time steps, batch, hidden)")
        handles = [mpl.patches.Patch(color=COLOURS[cell], label=name) for cell, name in NAMES.items()]
        figure.legend(handles=handles, loc="outside upper center", ncols=3)
    return figure


if __name__ == "__main__":
    source, folder = map(Path, sys.argv[1:])
    for path in save(speed(json.loads(source.read_text())), folder / "speed"):
        print(f"written: {path}")
