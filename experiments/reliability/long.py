"""Trains for 200,000 steps and watches the process: `python experiments/reliability/long.py` (Linux).

A small RNN is evaluated every twenty steps, so that it writes the records of 10,000 evaluations. Memory, CPU time and
the number of files in its folder are read once a second.

The aims: from a tenth of the steps on, the memory stays within 5 % of what it is then; the last tenth of the steps
takes at most 10 % more CPU time than the first, apart from starting and compiling; and the number of files is bounded,
which is to say that it never exceeds `MAX_FILES`.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

from campaign import write_result

from rnnbench.errors import UserError
from rnnbench.records.folders import job_folders

OVERRIDES = [
    *("model=rnn", "task=adding", "task.length=10", "model.hidden_size=8", "train.eval_every=20", "train.log_every=20"),
    *("train.batch_size=8", "train.test_size=32", "probe.size=8", "train.checkpoint_seconds=10", "devices=1"),
]
MEMORY, CPU = 1.05, 1.10
MAX_FILES = 500
"""Files in the folder of a job: some 60 for each table, and those of the checkpoints."""


class Sample(NamedTuple):
    """What was read at one moment.

    Attributes:
        step: training steps recorded.
        megabytes: resident memory of the process.
        cpu: CPU time of the process so far, in seconds.
        files: files in the job's folder.
    """

    step: int
    megabytes: float
    cpu: float
    files: int


def sample(process: int, output: Path) -> Sample | None:
    """Returns what can be read now, or None before the first record and after the last."""
    try:
        [folder] = job_folders(output)
        step = json.loads((folder / "provenance.json").read_text())["sessions"][-1]["to_step"]
        status = Path(f"/proc/{process}/status").read_text()
        times = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except (OSError, ValueError, IndexError, UserError):
        return None
    resident = next(line for line in status.splitlines() if line.startswith("VmRSS"))
    cpu = (int(times[11]) + int(times[12])) / os.sysconf("SC_CLK_TCK")
    return Sample(step, int(resident.split()[1]) / 1024, cpu, sum(len(names) for _, _, names in os.walk(folder)))


def watch(output: Path, steps: int) -> list[Sample]:
    """Trains, and returns the samples."""
    command = [sys.executable, "-m", "rnnbench", *OVERRIDES, f"train.steps={steps}", f"output={output}"]
    samples = []
    with subprocess.Popen(command) as process:
        while process.poll() is None:
            if (found := sample(process.pid, output)) is not None and found.step > 0:
                samples.append(found)
            time.sleep(1)
    if process.returncode != 0:
        raise SystemExit(f"training ended with exit code {process.returncode}")
    return samples


def cpu_per_step(samples: list[Sample], start: float, end: float) -> float:
    """Returns the CPU seconds a step between two steps."""
    own = [sample for sample in samples if start <= sample.step <= end]
    return (own[-1].cpu - own[0].cpu) / (own[-1].step - own[0].step)


def main() -> None:
    """Trains, prints the result and writes it to a file."""
    parser = argparse.ArgumentParser(description="Whether a long training needs more and more.")
    parser.add_argument("--steps", type=int, default=200_000, help="training steps (default: %(default)s)")
    parser.add_argument("--output", type=Path, default=Path("results/reliability"))
    options = parser.parse_args()
    began = time.monotonic()
    output, steps = options.output / "long", options.steps
    shutil.rmtree(output, ignore_errors=True)
    samples = watch(output, steps)
    warm = [sample for sample in samples if sample.step >= steps / 10]
    first, last = cpu_per_step(samples, 0, steps / 10), cpu_per_step(samples, steps * 0.9, steps)
    memory = [sample.megabytes for sample in warm]
    result = {
        "steps": steps,
        "evaluations": steps // 20,
        "megabytes": {"after a tenth": round(memory[0]), "smallest": round(min(memory)), "largest": round(max(memory))},
        "cpu_microseconds_per_step": {"first tenth": round(1e6 * first, 1), "last tenth": round(1e6 * last, 1)},
        "most_files": max(sample.files for sample in samples),
    }
    aims = {
        "memory": max(memory) <= MEMORY * memory[0],
        "CPU time": last <= CPU * first,
        "files": result["most_files"] <= MAX_FILES,
    }
    result["missed"] = [name for name, met in aims.items() if not met]
    print(f"{json.dumps(result)}\naims missed: {result['missed'] or 'none'}")
    write_result(options.output / "long.json", result, began)
    sys.exit(bool(result["missed"]))


if __name__ == "__main__":
    main()
