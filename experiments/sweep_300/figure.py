"""Draws the final score against learning rate from records: `python experiments/sweep_300/figure.py RESULTS FOLDER`."""

import sys
from pathlib import Path

from rnnbench import load_runs
from rnnbench.figures import save, score_by_value

if __name__ == "__main__":
    source, folder = map(Path, sys.argv[1:])
    for path in save(score_by_value(load_runs(source), "optimizer.learning_rate"), folder / "learning_rates"):
        print(f"written: {path}")
