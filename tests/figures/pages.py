"""Records to write a page about, and what is read from the page."""

import json
import re
from pathlib import Path

import numpy as np

from rnnbench.figures.page import write_report
from rnnbench.probes.finding import drawers
from tests.helpers import record_job, run_row

HOSTILE = """</script><script>window.hacked=1</script><img src=x onerror="window.hacked=1"> <b>'&lt;' %{x}"""
STEPS, TIMES = (0, 20, 40), range(5)
WORDS = ["last", "year", "I"]


def decay(step):
    """Returns the fraction of the gradient that is left one time step earlier."""
    return 0.1 if step == 0 else 0.5


def record(root, model="gru", seed=0, status="finished", result=0.75, without=(), word="had", times=TIMES, **more):
    """Records a run: its score in two bins, gradients that decay over time, and the gates for one sentence."""
    run = run_row(model, seed, result, status, run_id=f"{len(list(root.glob('*')))}{seed}", **more)
    grid = [(step, time) for step in STEPS for time in times]
    units = [(time, unit) for time in range(3) for unit in range(2)]
    tables = {
        "metrics": {"step": STEPS, "value": [0.25, result, result]},
        "scores": {"value": [result, result / 2]},
        "gradient_flow": {"step": [step for step, _ in grid], "time": [time for _, time in grid],
                          "norm": [3 * decay(step) ** (times[-1] - time) for step, time in grid]},
        "gate_traces": {"time": [time for time, _ in units], "gate": "update",
                        "word": [[*WORDS[:2], word][time] for time, _ in units],
                        "unit": [unit for _, unit in units], "value": np.linspace(0, 1, 6)},
        "showcase": {"prompt": f"last year , {word}", "continuation": ["need", word], "probability": [0.25, 0.75]},
    }  # fmt: skip
    tables = {name: table for name, table in tables.items() if name not in without}
    record_job(root / run["run_id"], [run], {40: tables})


def written(folder: Path) -> str:
    """Writes the page of a folder, and returns its text."""
    return write_report(folder, folder / "report.html", drawers()).read_text()


def section(page: str, name: str) -> str:
    """Returns the contents of a section of the page."""
    return re.search(rf'<section id="{name}">(.*?)</section>', page, re.DOTALL)[1]


def figures(page: str) -> list[dict]:
    """Returns the figures of a page or section, in plotly's form."""
    return [json.loads(text) for text in re.findall(r'<script type="application/json">(.*?)</script>', page)]
