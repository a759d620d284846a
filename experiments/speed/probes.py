"""What the probes cost beside training: `python experiments/speed/probes.py`.

The sentence completion task with the study quickstart's settings, one run on all cores. Each part is timed in turns
with the others; medians, and smallest and largest values.
"""

import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import hydra
import jax

from rnnbench.commands.probe import Prober
from rnnbench.config.parse import parse
from rnnbench.config.schema import Config
from rnnbench.training import program as population

ROUNDS = 9
STEPS = 100


def config(cell: str, *more: str) -> Config:
    """The study's run of this cell."""
    overrides = ["task=sentence_completion", f"model={cell}", "model.hidden_size=32", "train.batch_size=32"]
    with hydra.initialize_config_dir(str(Path(__file__).parents[2] / "conf"), version_base="1.3"):
        return parse(hydra.compose("config", overrides=[*overrides, f"train.eval_every={STEPS}", *more]))


def training(cell: str, *more: str) -> tuple[population.Program, Callable[[], object]]:
    """A program, and what trains it for a segment."""
    own = config(cell, *more)
    program = population.Program([own], tuple(jax.devices()))
    states = [program.place([program.init(own)])]

    def segment() -> None:
        states[0], _ = program.segment(states[0])
        jax.block_until_ready(states[0])

    return program, segment


def main() -> None:
    """Prints a line for each cell and part."""
    jax.config.update("jax_num_cpu_devices", os.cpu_count())
    for cell in ("rnn", "lstm", "gru"):
        program, plain = training(cell)
        _, with_omega = training(cell, "train.omega=0.1")
        states = program.place([program.init(config(cell))])
        params = jax.tree.map(lambda leaf: leaf[0], jax.device_get(states.params))
        prober, gates = Prober(program, size=256), program.tasks[0][0].traced_sentences()[:2]
        parts: dict[str, Callable[[], object]] = {
            f"{STEPS} training steps": plain,
            f"{STEPS} training steps with omega": with_omega,
            "an evaluation on the test set": lambda: program.evaluate(states.params),  # noqa: B023  (called in turn)
            "gradient flow": lambda: program.gradient_flow(states.params),  # noqa: B023
            "gates word by word": lambda: jax.device_get(program.gates(params, *gates)),  # noqa: B023
            "all that rnnbench probe measures": lambda: prober.measure(0, params),  # noqa: B023
        }
        timed: dict[str, list[float]] = {name: [] for name in parts}
        for number in range(-1, ROUNDS):
            for name, part in parts.items():
                start = time.perf_counter()
                part()
                if number >= 0:
                    timed[name].append(1e3 * (time.perf_counter() - start))
        for name, values in timed.items():
            print(
                f"{cell}: {name}: {statistics.median(values):.1f} ms ({min(values):.1f}..{max(values):.1f})", flush=True
            )


if __name__ == "__main__":
    main()
