"""experiments/speed: its sides run, and its figure shows its results. The tests do not check how fast they are."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers import load_script

STUDY = Path(__file__).parents[2] / "experiments" / "speed"


@pytest.mark.parametrize(
    ("side", "cell", "options"),
    [
        ("rnnbench", "gru", {"members": 2, "devices": 2}),
        ("rnnbench", "lstm", {"remat_every": 3}),
        *(("flax", cell, {}) for cell in ("rnn", "lstm", "gru")),
        ("torch", "gru", {}),
    ],
)
def test_every_side_takes_the_steps_it_is_asked_for(side: str, cell: str, options: dict[str, int]) -> None:
    run_options = {}
    if side == "torch":
        pytest.importorskip("torch")
        run_options = {"threads": 1, "mkldnn": False}
    build = {"side": side, "cell": cell, "length": 8, "batch": 4, "hidden": 4, "steps": 2, **options}
    lines = "".join(json.dumps(request) + "\n" for request in (build, {"steps": 2, **run_options}))
    done = subprocess.run(
        [sys.executable, STUDY / "worker.py"], input=lines, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    ready, timed = map(json.loads, done.stdout.splitlines())
    assert set(ready) == {"packages", "planned_bytes"}
    assert (ready["planned_bytes"] is not None) == (side == "rnnbench")
    assert timed["seconds"] > 0
    assert timed["bytes"] >= 0


def test_every_probe_is_timed() -> None:
    command = [sys.executable, STUDY / "probes.py", "--cells", "lstm", "--rounds", "1", "--steps", "2"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    names = [line.split(": ")[1] for line in done.stdout.splitlines()]
    assert names[0] == "2 training steps"
    assert names[-1] == "all that rnnbench probe measures"
    assert len(names) == 6


def test_flops_are_those_of_the_matmuls() -> None:
    """Forward: T x batch x (hidden + 2 inputs) x gates x hidden multiplications and additions. Backward: twice that."""
    assert load_script(STUDY / "benchmark.py").flops("lstm", 5, 3, 2) == 3 * 2 * 5 * 3 * (2 + 2) * 4 * 2


def test_a_profile_says_what_a_cells_step_takes() -> None:
    """A projected LSTM: gates twice as wide as h, from 2 inputs and h, and a projection back to h."""
    script = "import cells, json; print(json.dumps(cells.profile('lstm_projected', (6, 3, 4))))"
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=STUDY, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["flops"] == 3 * 2 * 6 * 3 * ((2 + 4) * 4 * 8 + 8 * 4)
    assert 0 < found["share_in_matmuls"] < 1
    assert found["kernels"] > 4


def test_the_figure_shows_the_committed_results() -> None:
    results = json.loads((STUDY / "results.json").read_text())
    figure = load_script(STUDY / "figure.py").speed(results)
    rows = results["steps"]["results"]
    for axes, key, scale in zip(figure.axes, ("times_torch", "share_of_peak"), (1, 100), strict=True):
        heights = [patch.get_height() for patch in axes.patches]
        assert heights == pytest.approx([scale * row[key]["median"] for row in rows])
