"""Times a training step of every cell, and says what its time goes to: `python experiments/speed/cells.py`.

The steps are those of benchmark.py, at its shape A unless another is given. Where PyTorch, or torchrecurrent for
PyTorch, has a cell (`worker.TORCH`), it is timed in the same rounds. The profile is of rnnbench's step on one device,
where nothing runs beside it: the kernels of a time step, forward and backward together, and the shares of the kernels'
time that pass in those with a matmul and in the others. The peak is that of the library that multiplies fastest.
"""

import argparse
import json
import re
import statistics
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from benchmark import MATMULS, SHAPES, console, fastest_matmul, machine, spread, workers
from flax import nnx
from rich import box
from rich.table import Table
from worker import TORCH, rnnbench_side

from rnnbench.config.compose import shipped

CELLS = sorted(path.stem for path in (shipped("conf") / "model").glob("*.yaml"))
STEPS = 5
"""Training steps in one timing."""
THREADS = (1, 2)
AROUND = ("while", "call", "conditional")
"""Beginnings of the names of what contains other kernels."""


def matmul_flops(cell: nnx.RNNCellBase, batch: int) -> int:
    """Returns the FLOPs of the matmuls of one step for a batch, without what is computed once for a sequence."""
    graphdef, params = nnx.split(cell)
    inputs = jnp.zeros((batch, cell.in_features))
    carry = cell.initialize_carry(inputs.shape, nnx.Rngs(0))
    jaxpr = jax.make_jaxpr(lambda params, carry, x: nnx.merge(graphdef, params)(carry, x))(params, carry, inputs)

    def dots(jaxpr: Any) -> Iterator[int]:
        for equation in jaxpr.eqns:
            if equation.primitive.name == "dot_general":
                out, left = equation.outvars[0].aval, equation.invars[0].aval
                contracted, _ = equation.params["dimension_numbers"][0]
                if batch in out.shape:
                    yield 2 * out.size * left.shape[contracted[0]]
            for inner in equation.params.values():
                if hasattr(inner, "jaxpr") or hasattr(inner, "eqns"):
                    yield from dots(getattr(inner, "jaxpr", inner))

    return sum(dots(jaxpr.jaxpr))


def kernels_of(hlo: str) -> dict[str, bool]:
    """Returns the names of a compiled program's kernels, and for each whether it contains a matmul."""
    inside, calls, found = "", {}, {}
    holding = set()
    for line in hlo.splitlines():
        if opened := re.match(r"(?:ENTRY )?%?([\w.-]+) \(.*\{$", line):
            inside = opened[1]
        named = re.match(r"\s+(?:ROOT )?%?([\w.-]+) = ", line)
        if named is None:
            continue
        name = named[1]
        found[name] = " dot(" in line
        if found[name]:
            holding.add(inside)
        if called := re.search(r"calls=%?([\w.-]+)", line):
            calls[name] = called[1]
    holds = {name: matmul or calls.get(name) in holding for name, matmul in found.items()}
    return {name: matmul for name, matmul in holds.items() if not name.startswith(AROUND)}


def profile(cell: str, shape: tuple[int, int, int]) -> dict[str, Any]:
    """Returns the FLOPs of a training step's matmuls, and what the time of a step on one device goes to."""
    length, batch, hidden = shape
    side = rnnbench_side(cell, length, batch, hidden, 2, devices=1)
    side.run(2)
    kernels = kernels_of(side.program._segment_compiled.as_text())
    with tempfile.TemporaryDirectory() as folder:
        with jax.profiler.trace(folder):
            side.run(2)
        [path] = Path(folder).rglob("*.xplane.pb")
        data = jax.profiler.ProfileData.from_file(str(path))
    # Any thread of the process may run a kernel: XLA's pool, or the one that called the program.
    events = [event for plane in data.planes for line in plane.lines for event in line.events if event.name in kernels]
    in_matmuls = sum(event.duration_ns for event in events if kernels[event.name])
    in_kernels = sum(event.duration_ns for event in events)
    return {
        "flops": 3 * length * matmul_flops(side.program.builder.template.layers[0], batch),
        "kernels": len(events) / 2 / length,
        "share_in_matmuls": in_matmuls / in_kernels,
    }


def measure(cell: str, shape: tuple[int, int, int], rounds: int) -> dict[str, Any]:
    """Returns the times of a cell's training step, beside PyTorch's and the machine's matmul peak, and its profile."""
    length, batch, hidden = shape
    one = {"cell": cell, "length": length, "batch": batch, "hidden": hidden, "steps": STEPS}
    sides = ["rnnbench", *(["torch"] if cell in TORCH else [])]
    with workers(**MATMULS, **{side: {"side": side, **one} for side in sides}) as at:
        timed: dict[str, list[float]] = {}
        for number in range(-1, rounds):  # the first round warms up
            seconds = {"rnnbench": at["rnnbench"].time(steps=STEPS) / STEPS}
            seconds |= {name: at[name].time(steps=1) for name in MATMULS}
            if "torch" in at:
                for threads in THREADS:
                    name = f"torch, {threads} thread{'s' * (threads > 1)}"
                    seconds[name] = at["torch"].time(steps=1, threads=threads, mkldnn=True)
            if number >= 0:
                for name, value in seconds.items():
                    timed.setdefault(name, []).append(value)
        megabytes = {side: at[side].bytes / 1e6 for side in sides}
        planned = at["rnnbench"].planned_bytes / 1e6
        packages = {name: version for side in at.values() for name, version in side.packages.items()}
    found = profile(cell, shape)
    ours, (multiplier, peak) = timed["rnnbench"], fastest_matmul(timed)
    others = [name for name in timed if name.startswith("torch")]
    best = min(others, key=lambda name: statistics.median(timed[name])) if others else None
    return {
        **one,
        "milliseconds": {n: spread([1e3 * s for s in values]) for n, values in timed.items() if n not in MATMULS},
        "peak_gflops": {multiplier: spread([p / 1e9 for p in peak])},
        "torch": TORCH.get(cell),
        "torch_best": best,
        "times_torch": spread([t / s for t, s in zip(timed[best], ours, strict=True)]) if best else None,
        "share_of_peak": spread([found["flops"] / s / p for s, p in zip(ours, peak, strict=True)]),
        "megabytes": megabytes,
        "planned_megabytes": planned,
        "packages": packages,
        **found,
    }


def table(rows: list[dict[str, Any]]) -> Table:
    """Returns a table of the medians, and for ratios also the smallest and the largest value."""
    headings = ["", "ms a step", "of peak", "kernels a time step", "in matmuls"]
    view = Table(*headings, "PyTorch ms", "times PyTorch", box=box.SIMPLE)
    for row in rows:
        ms, ratio = row["milliseconds"], row["times_torch"]
        view.add_row(
            row["cell"],
            f"{ms['rnnbench']['median']:.1f}",
            f"{row['share_of_peak']['median']:.0%}",
            f"{row['kernels']:.0f}",
            f"{row['share_in_matmuls']:.0%}",
            f"{ms[row['torch_best']]['median']:.0f} ({row['torch_best']})" if ratio else "",
            f"{ratio['median']:.1f} ({ratio['min']:.1f}..{ratio['max']:.1f})" if ratio else "",
        )
    return view


def main() -> None:
    """Measures, prints the results and writes them to a file after each cell."""
    parser = argparse.ArgumentParser(description="A training step of every cell: its time, and what it goes to.")
    parser.add_argument("--cells", nargs="+", choices=CELLS, default=CELLS, metavar="CELL")
    parser.add_argument("--shape", choices=list(SHAPES), default="A")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--profile", action="store_true", help="only measure the profiles in OUTPUT again")
    parser.add_argument("--output", type=Path, default=Path("results/speed_cells.json"))
    options = parser.parse_args()
    if options.rounds < 1:
        parser.error("--rounds: expected 1 or more")
    options.output.parent.mkdir(parents=True, exist_ok=True)
    if options.profile:
        stored = json.loads(options.output.read_text())
        for row in stored["results"]:
            row |= profile(row["cell"], SHAPES[stored["shape"]])
            console.print(f"{row['cell']}: {row['kernels']:.0f} kernels, {row['share_in_matmuls']:.0%} in matmuls")
        options.output.write_text(json.dumps(stored, indent=1) + "\n")
        return
    rows: list[dict[str, Any]] = []
    for cell in options.cells:
        rows.append(measure(cell, SHAPES[options.shape], options.rounds))
        console.print(f"{cell}: {rows[-1]['milliseconds']['rnnbench']['median']:.1f} ms a step")
        found = {"machine": machine(), "rounds": options.rounds, "shape": options.shape, "results": rows}
        options.output.write_text(json.dumps(found, indent=1) + "\n")
    console.print(table(rows))
    console.print(f"written: {options.output}")


if __name__ == "__main__":
    main()
