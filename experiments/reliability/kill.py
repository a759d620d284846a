"""Kills a sweep at random moments and resumes it: `python experiments/reliability/kill.py`.

The same sweep is trained twice: once undisturbed, and once by processes that get a signal at a random moment, each
followed by the same command. Then every recorded table and every parameter of the two must be the same bits. If the
sweep ends before all signals are sent, another one with the next seeds begins.

Each difference is a fault. So is a traceback, except of Python itself before it runs the command, and a process that
SIGINT or SIGTERM has not ended within `PATIENCE` seconds.
"""

import argparse
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from typing import NamedTuple

from campaign import differences, write_result

OVERRIDES = [
    *(
        "-m",
        "model=rnn,lstm,gru",
        "task=adding",
        "task.length=20",
        "model.hidden_size=8",
        "optimizer.learning_rate=1e-2",
    ),
    *("train.steps=6000", "train.eval_every=100", "train.batch_size=16", "train.test_size=64", "probe.size=16"),
    *("train.checkpoint_seconds=0.5", "population.max_size=6", "report=false", "devices=1"),
]
"""Three cells, and jobs of at most six runs: nine jobs if there are 18 seeds."""

SEEDS = 18

PATIENCE = 15.0
"""Seconds that a process may take to save and end: ten for the end of a segment, and the time to save it."""


def command(output: Path, first_seed: int) -> list[str]:
    """Returns the command of the sweep of `SEEDS` seeds."""
    seeds = f"seed=range({first_seed},{first_seed + SEEDS})"
    return [sys.executable, "-m", "rnnbench", *OVERRIDES, seeds, f"output={output}"]


class Sent(NamedTuple):
    """A signal that was sent to a process.

    Attributes:
        code: the exit code.
        seconds: how long the process took to end.
    """

    code: int
    seconds: float


def disturbed(output: Path, first_seed: int, number: signal.Signals, most: int, draw: random.Random) -> list[Sent]:
    """Runs the sweep until it ends by itself, and sends up to `most` signals. Returns these.

    Args:
        output: where the sweep is recorded.
        first_seed: the sweep's first seed.
        number: the signal.
        most: how many signals to send.
        draw: draws the moments.
    """
    sent: list[Sent] = []
    while True:
        with open(output.with_suffix(".log"), "a") as log:
            process = subprocess.Popen(command(output, first_seed), stdout=log, stderr=log, start_new_session=True)
            try:
                process.wait(draw.uniform(0, 15) if len(sent) < most else None)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, number)
                at = time.monotonic()
                sent.append(Sent(process.wait(), time.monotonic() - at))
                continue
        if process.returncode != 0:
            raise SystemExit(f"the sweep ended with exit code {process.returncode}; {log.name} says why")
        return sent


def tracebacks(said: str) -> list[str]:
    """Returns the tracebacks in what processes have said, except those of Python before it runs a command."""
    own = re.compile(r"rnnbench/(?!__init__\.py)")  # Python imports the package, then its module __main__
    return [text[:2000] for text in said.split("Traceback")[1:] if "<frozen" not in text or own.search(text)]


def main() -> None:
    """Sends the signals, compares, prints the result and writes it to a file."""
    parser = argparse.ArgumentParser(description="A sweep that is killed again and again must end as if it were not.")
    parser.add_argument("--signal", choices=["KILL", "INT", "TERM"], default="KILL")
    parser.add_argument("--times", type=int, default=100, help="how many signals to send (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the random moments (default: %(default)s)")
    parser.add_argument("--output", type=Path, default=Path("results/reliability"))
    options = parser.parse_args()
    # A shell starts a background command with Ctrl-C ignored, and so would be each process that it starts.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    number, draw = signal.Signals[f"SIG{options.signal}"], random.Random(options.seed)
    sent: list[Sent] = []
    found: list[str] = []
    sweeps = 0
    began = time.monotonic()
    while len(sent) < options.times:
        first_seed = sweeps * SEEDS
        undisturbed, killed = (options.output / f"{name}-{first_seed}" for name in ("undisturbed", "killed"))
        for folder in (undisturbed, killed):
            shutil.rmtree(folder, ignore_errors=True)
            folder.with_suffix(".log").unlink(missing_ok=True)
        options.output.mkdir(parents=True, exist_ok=True)
        disturbed(undisturbed, first_seed, number, 0, draw)
        sent += disturbed(killed, first_seed, number, options.times - len(sent), draw)
        found += differences(undisturbed, killed)
        found += tracebacks(killed.with_suffix(".log").read_text())
        sweeps += 1
        print(f"{len(sent)} of {options.times} signals sent, {sweeps * 3 * SEEDS} runs, faults: {found or 'none'}")
    found += [f"{one.seconds:.0f} s to end, exit code {one.code}" for one in sent if one.seconds > PATIENCE]
    codes, seconds = [one.code for one in sent], sorted(one.seconds for one in sent)
    result = {
        "signal": options.signal,
        "seed": options.seed,
        "sent": len(sent),
        "exit_codes": {str(code): codes.count(code) for code in sorted(set(codes))},
        "seconds_to_end": {"median": round(median(seconds), 1), "largest": round(seconds[-1], 1)},
        "runs": sweeps * 3 * SEEDS,
        "faults": found,
        "verdict": "fail" if found else "pass",
    }
    write_result(options.output / f"{options.signal.lower()}.json", result, began)
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
