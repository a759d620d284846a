"""Stops the real command by Ctrl-C and SIGTERM: it saves what it has trained, and the same command resumes there."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ENDLESS = ["train.steps=100000000", "train.checkpoint_seconds=1000000", "devices=1"]


def wait_until(condition: Callable[[], object], process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.1)


def start(overrides: list[str], folder: Path) -> subprocess.Popen[bytes]:
    """Starts training with output in the file `log`."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
    # A test suite in the background ignores Ctrl-C, and its child processes would inherit that.
    command = ["env", "--default-signal=INT", sys.executable, "-m", "rnnbench", *overrides]
    with open(folder / "log", "w") as log:
        return subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)


def test_a_stopped_run_resumes_where_it_was(tiny: list[str], tmp_path: Path) -> None:
    """In its own process with output in files, it shows no traceback and no control codes, and loses nothing."""
    log = tmp_path / "log"
    steps = []
    for number, exit_code in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
        before = len(list(tmp_path.glob("results/*/metrics/*.parquet")))
        process = start([*tiny, *ENDLESS, "train.eval_every=50"], tmp_path)
        try:
            parts = before + 2
            wait_until(lambda n=parts: len([*tmp_path.glob("results/*/metrics/*.parquet")]) >= n, process, log)
            process.send_signal(number)
            assert process.wait(timeout=60) == exit_code
        finally:
            process.kill()
            process.wait()
        said = log.read_text()
        [saved] = [int(path.name) for path in tmp_path.glob("results/*/checkpoints/*") if int(path.name) not in steps]
        assert said.endswith(f"rnnbench: stopped at step {saved}; the same command resumes from there\n")
        assert "Traceback" not in said
        assert "\x1b" not in said
        steps.append(saved)
    [provenance] = tmp_path.glob("results/*/provenance.json")
    sessions = json.loads(provenance.read_text())["sessions"]
    assert [(session["from_step"], session["to_step"]) for session in sessions] == [(0, steps[0]), tuple(steps)]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_second_signal_stops_at_once(tiny: list[str], tmp_path: Path, number: int) -> None:
    """The first segment would take hours."""
    log = tmp_path / "log"
    process = start([*tiny, *ENDLESS, "train.eval_every=10000000", "train.log_every=10000000"], tmp_path)
    try:
        wait_until(lambda: [*tmp_path.glob("results/*/metrics/*.parquet")], process, log)
        time.sleep(1)
        process.send_signal(number)
        wait_until(lambda: "stopping after this segment" in log.read_text(), process, log)
        process.send_signal(number)
        assert process.wait(timeout=5) == 128 + number
    finally:
        process.kill()
        process.wait()
    last = log.read_text().splitlines()[-1]
    assert last == (
        "rnnbench: stopped at once (by a second signal); the same command resumes from the start, "
        "for nothing was saved yet"
    )
