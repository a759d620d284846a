"""Times whole training steps of rnnbench, PyTorch and Flax side by side: `python experiments/speed/benchmark.py`.

Each side runs in its own process (worker.py) and waits while another is timed. Each round times every side once, so
that drift in the machine's speed affects all of them, and ratios are taken within a round. The script prints and
stores medians over the rounds, with the smallest and the largest value.
"""

import argparse
import contextlib
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import pyarrow as pa
from rich import box
from rich.console import Console
from rich.table import Table

from rnnbench.records.files import as_arrow
from rnnbench.records.reader import runs_table
from rnnbench.records.schemas import VERSION

HERE = Path(__file__).parent
CELLS = ("rnn", "lstm", "gru")
SHAPES = {"A": (500, 50, 128), "B": (200, 32, 64), "C": (1000, 128, 256), "D": (100, 20, 50)}
"""Time steps, batch size and hidden size of each shape."""
STEPS = {"A": 4, "B": 50, "C": 1, "D": 150}
"""Training steps in one timing, which takes half a second or more."""
SEGMENT = {"A": 20, "B": 100, "C": 4, "D": 300}
"""The same for rnnbench. It allocates its memory again for each segment, which in training has hundreds of steps."""
PARTS = ("steps", "population", "lengths", "memory", "start")
MATRIX = 3000
MATMULS = {f"matmul, {name}": {"side": "matmul", "size": MATRIX, "library": name} for name in ("torch", "jax")}
PAUSE = 0.5
"""Seconds after which the threads of the side that was timed last have stopped waiting for more work."""
GATES = {"rnn": 1, "lstm": 4, "gru": 3}
console = Console()


class Worker:
    """One side of the comparison, in its own process."""

    def __init__(self, python: str = sys.executable, **request: Any):
        env = os.environ | {"JAX_ENABLE_COMPILATION_CACHE": "false"}
        self._process = subprocess.Popen(
            [python, HERE / "worker.py"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env
        )
        self.ask(**request)
        built = self.answer()  # the worker answers once its side is built
        self.packages, self.planned_bytes = built["packages"], built["planned_bytes"]

    def ask(self, **request: Any) -> None:
        """Sends a request without waiting for the answer."""
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()

    def answer(self) -> dict[str, Any]:
        """Returns the worker's answer to the oldest open request."""
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(f"a worker ended with exit code {self._process.wait()}; what it said stands above")
        return json.loads(line)

    def time(self, **request: Any) -> float:
        """Returns the seconds that the requested steps take, after a pause."""
        time.sleep(PAUSE)
        self.ask(**request)
        reply = self.answer()
        self.bytes = reply["bytes"]
        return reply["seconds"]

    def close(self) -> None:
        """Ends the process."""
        self._process.stdin.close()
        self._process.wait()


@contextlib.contextmanager
def workers(**requests: dict[str, Any]) -> Iterator[dict[str, Worker]]:
    """Yields workers by name, and closes all of them at the end."""
    started: dict[str, Worker] = {}
    try:
        for name, request in requests.items():
            started[name] = Worker(**request)
        yield started
    finally:
        for worker in started.values():
            worker.close()


def spread(values: list[float]) -> dict[str, float]:
    """Returns the median, the smallest and the largest value."""
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def flops(cell: str, length: int, batch: int, hidden: int) -> float:
    """Returns the FLOPs of one training step: three times those of the forward matmuls."""
    return 3 * 2 * length * batch * GATES[cell] * hidden * (hidden + 2)


def fastest_matmul(timed: dict[str, list[float]]) -> tuple[str, list[float]]:
    """Returns which of `MATMULS` has the fastest median, and its FLOP/s in each round: the machine's peak."""
    name = min(MATMULS, key=lambda name: statistics.median(timed[name]))
    return name, [2 * MATRIX**3 / seconds for seconds in timed[name]]


TORCH = {f"torch, {t} thread{'s' * (t > 1)}{', no mkldnn' * (not m)}": (t, m) for t in (1, 2) for m in (True, False)}


def steps(shapes: str, cells: list[str], rounds: int) -> list[dict[str, Any]]:
    """Times whole training steps of every side, and the machine's matmul peak in the same rounds."""
    rows = []
    for shape in shapes:
        length, batch, hidden = SHAPES[shape]
        for cell in cells:
            one = {"cell": cell, "length": length, "batch": batch, "hidden": hidden}
            sides, count = ("rnnbench", "flax", "torch"), STEPS[shape]
            counts = {"rnnbench": SEGMENT[shape], "flax": count}
            requests = {side: {"side": side, "steps": counts.get(side, count), **one} for side in sides}
            with workers(**MATMULS, **requests) as at:
                timed: dict[str, list[float]] = {}
                for number in range(-1, rounds):  # the first round warms up
                    seconds = {name: at[name].time(steps=1) for name in MATMULS}
                    for side, n in counts.items():
                        seconds[side] = at[side].time(steps=n) / n
                    for name, (threads, mkldnn) in TORCH.items():
                        seconds[name] = at["torch"].time(steps=count, threads=threads, mkldnn=mkldnn) / count
                    if number >= 0:
                        for name, value in seconds.items():
                            timed.setdefault(name, []).append(value)
                best = min(TORCH, key=lambda name: statistics.median(timed[name]))
                ours, (multiplier, peak) = timed["rnnbench"], fastest_matmul(timed)
                rate = [flops(**one) / s for s in ours]
                rows.append(
                    {
                        "shape": shape,
                        **one,
                        "milliseconds": {n: spread([1e3 * s for s in v]) for n, v in timed.items() if n not in MATMULS},
                        "torch_best": best,
                        "times_torch": spread([t / s for t, s in zip(timed[best], ours, strict=True)]),
                        "times_flax": spread([f / s for f, s in zip(timed["flax"], ours, strict=True)]),
                        "peak_gflops": {multiplier: spread([p / 1e9 for p in peak])},
                        "share_of_peak": spread([r / p for r, p in zip(rate, peak, strict=True)]),
                        "megabytes": {side: at[side].bytes / 1e6 for side in sides},
                        "planned_megabytes": at["rnnbench"].planned_bytes / 1e6,
                    }
                )
            row = rows[-1]
            console.print(
                f"{shape} {cell}: {row['milliseconds']['rnnbench']['median']:.2f} ms, "
                f"{row['times_torch']['median']:.2f} times {best}, {row['times_flax']['median']:.2f} times Flax, "
                f"{row['share_of_peak']['median']:.0%} of the peak"
            )
    return rows


def population(cells: list[str], rounds: int, members: int = 16) -> list[dict[str, Any]]:
    """Compares runs per second of a population with one PyTorch process of 2 threads, and with two of 1 thread each."""
    rows = []
    for shape in "BD":
        length, batch, hidden = SHAPES[shape]
        for cell in cells:
            count = max(1, STEPS[shape] // 5)
            one = {"cell": cell, "length": length, "batch": batch, "hidden": hidden, "steps": count}
            requests = {name: {"side": "torch", **one} for name in ("first", "second")}
            with workers(rnnbench={"side": "rnnbench", "members": members, **one}, **requests) as at:
                timed: dict[str, list[float]] = {}
                for number in range(-1, rounds):
                    rates = {"rnnbench": members * count / at["rnnbench"].time(steps=count)}
                    for mkldnn in (True, False):
                        name = "" if mkldnn else ", no mkldnn"
                        request = {"steps": 5 * count, "mkldnn": mkldnn}
                        rates[f"one process{name}"] = 5 * count / at["first"].time(threads=2, **request)
                        time.sleep(PAUSE)
                        start = time.perf_counter()
                        for worker in (at["first"], at["second"]):
                            worker.ask(threads=1, **request)
                        for worker in (at["first"], at["second"]):
                            worker.answer()
                        rates[f"two processes{name}"] = 10 * count / (time.perf_counter() - start)
                    if number >= 0:
                        for name, rate in rates.items():
                            timed.setdefault(name, []).append(rate)
                ours = timed["rnnbench"]
                best = max((n for n in timed if n != "rnnbench"), key=lambda n: statistics.median(timed[n]))
                rows.append(
                    {
                        "shape": shape,
                        "cell": cell,
                        "members": members,
                        "steps_per_second": {name: spread(values) for name, values in timed.items()},
                        "torch_best": best,
                        "times_torch": spread([o / t for o, t in zip(ours, timed[best], strict=True)]),
                        "megabytes_per_run": at["rnnbench"].bytes / 1e6 / members,
                    }
                )
            row = rows[-1]
            console.print(f"{members} runs, {shape} {cell}: {row['times_torch']['median']:.2f} times torch's {best}")
    return rows


def lengths(cells: list[str], rounds: int) -> list[dict[str, Any]]:
    """Times a training step for different numbers of time steps, with batch 8 and hidden size 64."""
    rows = []
    for cell in cells:
        sizes = (1000, 2000, 4000, 8000, 16000)
        one = {"side": "rnnbench", "cell": cell, "batch": 8, "hidden": 64}
        counts = {length: max(8, 16000 // length) for length in sizes}
        requests = {str(length): {"length": length, "steps": counts[length], **one} for length in sizes}
        with workers(**requests) as at:
            timed: dict[int, list[float]] = {length: [] for length in sizes}
            for number in range(-1, rounds):
                for length, count in counts.items():
                    seconds = at[str(length)].time(steps=count) / count
                    if number >= 0:
                        timed[length].append(1e6 * seconds / length)
        rows.append({"cell": cell, "microseconds_per_time_step": {str(n): spread(v) for n, v in timed.items()}})
        shown = ", ".join(f"{length}: {statistics.median(v):.1f}" for length, v in timed.items())
        console.print(f"{cell}: microseconds a time step at T = {shown}")
    return rows


def memory(rounds: int) -> dict[str, Any]:
    """Compares keeping all states with recomputing them: LSTM, T = 10,000, batch 50, hidden size 128."""
    one = {"side": "rnnbench", "cell": "lstm", "length": 10000, "batch": 50, "hidden": 128, "steps": 1}
    with workers(plain=one, remat={"remat_every": 100, **one}) as at:
        timed = {name: [worker.time(steps=1) for _ in range(rounds + 1)][1:] for name, worker in at.items()}
        row = {
            "seconds": {name: spread(values) for name, values in timed.items()},
            "megabytes": {name: worker.bytes / 1e6 for name, worker in at.items()},
        }
    console.print(
        f"T = 10,000: {row['megabytes']} MB, { ({n: round(v['median'], 2) for n, v in row['seconds'].items()}) } s"
    )
    return row


def start(rounds: int) -> dict[str, Any]:
    """Times a command up to the record of its first training step, the help, and reading the records of many runs."""
    with tempfile.TemporaryDirectory() as folder:
        env = os.environ | {"XDG_CACHE_HOME": folder}
        command = [sys.executable, "-m", "rnnbench", "model=lstm", "task=adding", "train.eval_every=1"]

        def first_step(number: int) -> float:
            output = Path(folder, f"run{number}")
            begin = time.perf_counter()
            process = subprocess.Popen([*command, f"output={output}"], env=env, stderr=subprocess.DEVNULL)
            while not list(output.glob("*/metrics/*1.parquet")):
                if process.poll() is not None:
                    raise SystemExit(
                        f"{' '.join(command)} ended with exit code {process.returncode} before its first step"
                    )
                time.sleep(0.01)
            seconds = time.perf_counter() - begin
            process.kill()
            process.wait()
            return seconds

        def seconds_of(*argv: str) -> float:
            begin = time.perf_counter()
            subprocess.run([sys.executable, *argv], env=env, stdout=subprocess.DEVNULL, check=True)
            return time.perf_counter() - begin

        starts = [first_step(number) for number in range(rounds + 1)]
        read = {}
        committed = sorted(path.parent for path in (HERE.parent / "quickstart" / "results").glob("*/runs.arrow"))
        for count in (1000, 10000):
            many = Path(folder, f"many{count}")
            for number in range(count):
                copy, source = many / f"run{number}", committed[number % len(committed)]
                copy.mkdir(parents=True)
                shutil.copy(source / "provenance.json", copy)
                runs = runs_table(source).slice(0, 1)
                own = runs.set_column(0, runs.schema.field("run_id"), pa.array([f"{number:012x}"]))
                (copy / "runs.arrow").write_bytes(as_arrow(own, {"version": str(VERSION)}))
            reading = (
                "import time, rnnbench; rnnbench.load_runs; begin = time.perf_counter(); "
                f"assert len(rnnbench.load_runs({str(many)!r})) == {count}; print(time.perf_counter() - begin)"
            )
            commands = [[sys.executable, "-c", reading]] * rounds
            outputs = [subprocess.run(c, capture_output=True, text=True, check=True).stdout for c in commands]
            read[f"read_{count}_runs"] = spread([float(seconds) for seconds in outputs])
        row = {
            "first_start": starts[0],
            "second_start": spread(starts[1:]),
            "help": spread([seconds_of("-m", "rnnbench", "--help") for _ in range(rounds)]),
            **read,
        }
    console.print(
        f"to the first training step: {row['first_start']:.1f} s at first, then {row['second_start']['median']:.1f} s; "
        f"--help {row['help']['median']:.2f} s; 1,000 runs read in {row['read_1000_runs']['median']:.2f} s, "
        f"10,000 in {row['read_10000_runs']['median']:.1f} s"
    )
    return row


def machine() -> dict[str, Any]:
    """Returns a description of the machine and the software used for the measurements."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    cpu = next((line.split(":")[1].strip() for line in lines if "model name" in line), platform.processor())
    names = ("rnnbench", "jax", "jaxlib", "flax", "optax", "torch", "numpy")
    return {
        "cpu": cpu,
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "packages": {name: metadata.version(name) for name in names},
    }


def table(rows: list[dict[str, Any]]) -> Table:
    """Returns a table of the steps' results: medians, and for ratios also the smallest and the largest value."""
    view = Table(
        "", "ms a step", "PyTorch ms", "Flax ms", "times PyTorch", "times Flax", "of peak", "MB", box=box.SIMPLE
    )
    for row in rows:
        ms, mb = row["milliseconds"], row["megabytes"]
        times = [f"{ms[side]['median']:.2f}" for side in ("rnnbench", row["torch_best"], "flax")]
        ratios = [row["times_torch"], row["times_flax"]]
        view.add_row(
            f"{row['shape']} {row['cell']}",
            *times,
            *(f"{ratio['median']:.2f} ({ratio['min']:.2f}..{ratio['max']:.2f})" for ratio in ratios),
            f"{row['share_of_peak']['median']:.0%}",
            f"{mb['rnnbench']:.0f} ({row['planned_megabytes']:.0f}) / {mb['torch']:.0f} / {mb['flax']:.0f}",
        )
    return view


def main() -> None:
    """Measures the requested parts and writes the results to a file."""
    parser = argparse.ArgumentParser(description="rnnbench against PyTorch and Flax: whole training steps.")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--shapes", nargs="+", choices=list(SHAPES), default=list(SHAPES))
    parser.add_argument("--cells", nargs="+", choices=CELLS, default=list(CELLS))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--output", type=Path, default=Path("results/speed.json"))
    options = parser.parse_args()
    if options.rounds < 1:
        parser.error("--rounds: expected 1 or more")
    options.output.parent.mkdir(parents=True, exist_ok=True)
    results = json.loads(options.output.read_text()) if options.output.exists() else {}
    measures = {
        "steps": lambda: steps("".join(options.shapes), options.cells, options.rounds),
        "population": lambda: population(options.cells, options.rounds),
        "lengths": lambda: lengths(options.cells, options.rounds),
        "memory": lambda: memory(options.rounds),
        "start": lambda: start(options.rounds),
    }
    for part in options.parts:
        results[part] = {"machine": machine(), "rounds": options.rounds, "results": measures[part]()}
        options.output.write_text(json.dumps(results, indent=1) + "\n")
    if "steps" in results:
        console.print(table(results["steps"]["results"]))
    console.print(f"written: {options.output}")


if __name__ == "__main__":
    main()
