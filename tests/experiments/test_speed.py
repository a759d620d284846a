"""experiments/speed: its sides run, and its figure shows its results. The tests do not check how fast they are."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

STUDY = Path(__file__).parents[2] / "experiments" / "speed"


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"speed_{name}", STUDY / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


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
    assert set(ready) == {"packages"}
    assert timed["seconds"] > 0


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
    assert load("benchmark").flops("lstm", 5, 3, 2) == 3 * 2 * 5 * 3 * (2 + 2) * 4 * 2


def test_the_figure_shows_the_committed_results() -> None:
    results = json.loads((STUDY / "results.json").read_text())
    figure = load("figure").speed(results)
    rows = results["steps"]["results"]
    for axes, key, scale in zip(figure.axes, ("times_torch", "share_of_peak"), (1, 100), strict=True):
        heights = [patch.get_height() for patch in axes.patches]
        assert heights == pytest.approx([scale * row[key]["median"] for row in rows])
