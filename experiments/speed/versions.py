"""Times rnnbench's training steps in several Pythons: `python experiments/speed/versions.py PYTHON PYTHON ...`.

Each Python belongs to an environment with rnnbench installed, such as those of `make test-versions`. Each one runs in
its own process (worker.py) and waits while another is timed. Each round times every Python once, in an order that is
reversed from round to round. Ratios to the time of the first Python are taken within a round.
"""

import argparse
import json
from pathlib import Path
from typing import Any

from benchmark import CELLS, SEGMENT, SHAPES, console, spread, workers
from rich import box
from rich.table import Table


def compare(pythons: list[str], shape: str, cell: str, rounds: int) -> dict[str, Any]:
    """Returns the milliseconds per training step in each Python, and their ratios to those of the first one."""
    length, batch, hidden = SHAPES[shape]
    request = {"side": "rnnbench", "cell": cell, "length": length, "batch": batch, "hidden": hidden}
    steps = SEGMENT[shape]
    with workers(**{python: {"python": python, "steps": steps, **request} for python in pythons}) as at:
        timed: dict[str, list[float]] = {python: [] for python in pythons}
        for number in range(-1, rounds):  # the first round warms up
            for python in pythons if number % 2 else pythons[::-1]:
                seconds = at[python].time(steps=steps) / steps
                if number >= 0:
                    timed[python].append(1e3 * seconds)
        packages = {python: at[python].packages for python in pythons}
    first = timed[pythons[0]]
    versions = [
        {
            **packages[python],
            "milliseconds": spread(values),
            "times_first": spread([value / other for value, other in zip(values, first, strict=True)]),
        }
        for python, values in timed.items()
    ]
    return {"shape": shape, "cell": cell, "versions": versions}


def table(rows: list[dict[str, Any]]) -> Table:
    """Returns a table of the medians, and for ratios also the smallest and the largest value."""
    view = Table("", "Python", "JAX", "ms a step", "times the first", box=box.SIMPLE)
    for row in rows:
        for version in row["versions"]:
            ratio = version["times_first"]
            view.add_row(
                f"{row['shape']} {row['cell']}",
                version["python"],
                version["jax"],
                f"{version['milliseconds']['median']:.2f}",
                f"{ratio['median']:.3f} ({ratio['min']:.3f}..{ratio['max']:.3f})",
            )
    return view


def main() -> None:
    """Measures, prints the results and writes them to a file."""
    parser = argparse.ArgumentParser(description="rnnbench's training steps in several Pythons, in paired rounds.")
    parser.add_argument("pythons", nargs="+", metavar="PYTHON")
    parser.add_argument("--shapes", nargs="+", choices=list(SHAPES), default=["A", "B", "D"])
    parser.add_argument("--cells", nargs="+", choices=CELLS, default=list(CELLS))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--output", type=Path, default=Path("results/versions.json"))
    options = parser.parse_args()
    if options.rounds < 1:
        parser.error("--rounds: expected 1 or more")
    rows = [compare(options.pythons, shape, cell, options.rounds) for shape in options.shapes for cell in options.cells]
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps({"rounds": options.rounds, "results": rows}, indent=1) + "\n")
    console.print(table(rows))
    console.print(f"written: {options.output}")


if __name__ == "__main__":
    main()
