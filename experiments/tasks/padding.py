"""Times what padding costs: `python experiments/tasks/padding.py`.

A training step of `parity` with lengths 1 to 32, all padded to 32, is timed beside steps of sequences that all have 32
symbols, and of sequences that all have 17, the mean length rounded up. Each round times each of the three once.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
from rich.progress import track

from rnnbench import compose
from rnnbench.records.provenance import machine_and_packages
from rnnbench.tasks import Parity
from rnnbench.training.devices import start_devices, use_devices
from rnnbench.training.program import Program

LENGTH, MEAN = 32, 17
CELLS = ("rnn", "lstm", "gru")
SIZES = (32, 128)
"""Hidden units; the study has 32."""
STEPS = 200
"""Training steps that are timed together."""


class OneLength(Parity):
    """Parity of strings that all have the largest length."""

    def __init__(self, length: int, test_length: int) -> None:
        super().__init__(length, test_length)
        self.shortest = length


def timed(cell: str, hidden: int, *task: str) -> Callable[[], float]:
    """Returns a function that takes `STEPS` training steps and returns the milliseconds of one."""
    config = compose(
        f"model={cell}",
        f"model.hidden_size={hidden}",
        *("task=parity", f"task.test_length={LENGTH}", *task),
        *("train.batch_size=32", f"train.steps={STEPS}", f"train.eval_every={STEPS}", "train.test_size=1"),
        "probe.at_evaluation=[]",
    )
    program = Program([config], jax.devices())
    states = program.place([program.init(config)])

    def time_them() -> float:
        nonlocal states
        # A state that has taken all its steps would stay as it is.
        states = jax.block_until_ready(states._replace(step=jax.numpy.zeros_like(states.step)))
        start = time.perf_counter()
        states, _ = jax.block_until_ready(program.segment(states))
        return 1e3 * (time.perf_counter() - start) / STEPS

    return time_them


def spread(values: list[float]) -> dict[str, float]:
    """Returns the median, the smallest and the largest value."""
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def compare(cell: str, hidden: int, rounds: int) -> dict[str, Any]:
    """Returns the milliseconds of a step of each kind, and the ratios within the rounds."""
    target = f"task._target_={__name__}.OneLength"
    steps = {
        "padded": timed(cell, hidden, f"task.length={LENGTH}"),
        "full": timed(cell, hidden, target, f"task.length={LENGTH}"),
        "mean": timed(cell, hidden, target, f"task.length={MEAN}"),
    }
    seconds = [{kind: step() for kind, step in steps.items()} for _ in range(1 + rounds)][1:]  # the first one warms up
    return {
        "cell": cell,
        "hidden": hidden,
        **{kind: spread([row[kind] for row in seconds]) for kind in steps},
        **{f"padded_by_{kind}": spread([row["padded"] / row[kind] for row in seconds]) for kind in ("full", "mean")},
    }


def main() -> None:
    """Measures, prints the results and writes them to a file."""
    parser = argparse.ArgumentParser(description="What padding costs, in a training step of parity.")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--output", type=Path, default=Path("results/padding.json"))
    options = parser.parse_args()
    if options.rounds < 1:
        parser.error("--rounds: expected 1 or more")
    use_devices(None)
    start_devices()
    pairs = [(cell, hidden) for hidden in SIZES for cell in CELLS]
    rows = [compare(*pair, options.rounds) for pair in track(pairs, "padding")]
    for row in rows:
        print(
            f"{row['cell']} {row['hidden']}: {row['padded']['median']:.3f} ms, "
            f"{row['padded_by_full']['median']:.2f} times full, {row['padded_by_mean']['median']:.2f} times the mean"
        )
    found = {**machine_and_packages(), "rounds": options.rounds, "length": LENGTH, "mean": MEAN, "results": rows}
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps(found, indent=1) + "\n")
    print(f"written: {options.output}")


if __name__ == "__main__":
    main()
