"""Times the probes in comparison with training: `python experiments/speed/probes.py`.

This measures one run of the sentence completion task on all cores, with the settings of the study quickstart. The parts
are timed in turns, each after a call that is not timed. The script prints medians with the smallest and the largest
values.
"""

import argparse
import os
import statistics
import time
from collections.abc import Callable

import jax

import rnnbench
from rnnbench.commands.probe import AT_EVERY_EVALUATION
from rnnbench.config.schema import Config
from rnnbench.probes.finding import built_in
from rnnbench.training.program import Program, program

PROBED = 256
"""The number of examples that `rnnbench probe` measures by default."""


def config(cell: str, steps: int, *more: str) -> Config:
    """Returns the configuration of the study's run of this cell, evaluated every `steps` steps."""
    overrides = ["task=sentence_completion", f"model={cell}", "model.hidden_size=32", "train.batch_size=32"]
    return rnnbench.compose(*overrides, f"train.eval_every={steps}", *more)


def training(own: Config) -> tuple[Program, Callable[[], object]]:
    """Returns a program, and a function that trains it for one segment."""
    shared = program([own])
    states = [shared.place([shared.init(own)])]

    def segment() -> None:
        states[0], _ = shared.segment(states[0])
        jax.block_until_ready(states[0])

    return shared, segment


def parts_of(cell: str, steps: int) -> dict[str, Callable[[], object]]:
    """Returns the functions to time, by name."""
    own = config(cell, steps)
    shared, plain = training(own)
    _, with_omega = training(config(cell, steps, "train.omega=0.1"))
    states = shared.place([shared.init(own)])
    probes = {name: probe() for name, probe in built_in().items()}
    asked = [probe for name, probe in probes.items() if name != AT_EVERY_EVALUATION]
    return {
        f"{steps} training steps": plain,
        f"{steps} training steps with omega": with_omega,
        "an evaluation on the test set": lambda: shared.evaluate(states),
        "gradient flow": lambda: shared.measure(probes["gradient_flow"], states, own.probe.size),
        "gates word by word": lambda: shared.measure(probes["gate_traces"], states, own.probe.size),
        "all that rnnbench probe measures": lambda: [shared.measure(probe, states, PROBED) for probe in asked],
    }


def main() -> None:
    """Prints one line for each cell and part."""
    parser = argparse.ArgumentParser(description="Times training, evaluation and probes.")
    parser.add_argument("--cells", nargs="+", default=["rnn", "lstm", "gru"])
    parser.add_argument("--rounds", type=int, default=9, help="how often each part is timed (default: %(default)s)")
    parser.add_argument("--steps", type=int, default=100, help="training steps in one timing (default: %(default)s)")
    options = parser.parse_args()
    jax.config.update("jax_num_cpu_devices", os.cpu_count())
    for cell in options.cells:
        parts = parts_of(cell, options.steps)
        timed: dict[str, list[float]] = {name: [] for name in parts}
        for _ in range(options.rounds):
            for name, part in parts.items():
                part()  # compiles it in the first round, and wakes cores that the part before left idle
                start = time.perf_counter()
                part()
                timed[name].append(1e3 * (time.perf_counter() - start))
        for name, values in timed.items():
            print(
                f"{cell}: {name}: {statistics.median(values):.1f} ms ({min(values):.1f}..{max(values):.1f})", flush=True
            )


if __name__ == "__main__":
    main()
