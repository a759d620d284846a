"""One job in two processes: they compute what one process does, one of them records, and they fail together."""

import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import rnnbench
from rnnbench.records.folders import job_folder
from rnnbench.records.writer import Records

SEEDS = {"spread over the members": "0,1,2,3", "spread over the batch": "0"}


def command(tiny: list[str], output: Path, *more: str) -> list[str]:
    shared = ["devices=2", "train.checkpoint_seconds=0", f"output={output}", *more]
    return [sys.executable, "-m", "rnnbench", *tiny, *shared]


def both(tiny: list[str], output: Path, *more: str, processes: int = 2) -> list[tuple[int, str]]:
    """Returns the exit codes and messages of the processes of one job."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    place = (f"distributed.coordinator=localhost:{port}", f"distributed.processes={processes}")
    started = [
        subprocess.Popen(
            [*command(tiny, output, *more), *place, f"distributed.process={number}"],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for number in range(processes)
    ]
    texts = [process.communicate(timeout=300)[0] for process in started]
    return [(process.returncode, text) for process, text in zip(started, texts, strict=True)]


@pytest.mark.parametrize("seeds", SEEDS.values(), ids=SEEDS)
def test_two_processes_do_what_one_does(tiny: list[str], tmp_path: Path, seeds: str) -> None:
    members = f"population.members={{seed:[{seeds}]}}"
    results = both(tiny, tmp_path / "two", members)
    assert [code for code, _ in results] == [0, 0], results
    assert ["finished" in text for _, text in results] == [True, False], "the leader alone talks"
    subprocess.run(command(tiny, tmp_path / "one", members), check=True, capture_output=True)
    two, one = (rnnbench.load_metrics(tmp_path / name) for name in ("two", "one"))
    assert two.drop(columns="value").equals(one.drop(columns="value")), "each run is recorded once"
    np.testing.assert_allclose(two.value, one.value, rtol=1e-3, atol=1e-5)

    # A single process can use the state that both wrote, and both processes see that a finished job is finished.
    assert [code for code, _ in both(tiny, tmp_path / "two", members)] == [0, 0]
    [folder] = {Path(name) for name in rnnbench.load_runs(tmp_path / "two").folder}
    (folder / "metrics.parquet").unlink()
    subprocess.run(command(tiny, tmp_path / "two", members), check=True, capture_output=True)


def test_they_fail_together(tiny: list[str], tmp_path: Path) -> None:
    assert both(tiny, tmp_path, "seed=1")[0][0] == 0
    [run] = rnnbench.load_runs(tmp_path).run_id
    (tmp_path / f"adding-lstm-{run}" / "metrics.parquet").unlink()
    with Records(job_folder(tmp_path, "adding", "lstm", [run]), {}):
        results = both(tiny, tmp_path, "seed=1")
    assert [code for code, _ in results] == [2, 2]
    assert all("is being trained by process" in text for _, text in results)


def test_a_sweep_is_planned_by_one_process(tiny: list[str], tmp_path: Path) -> None:
    [(code, text)] = both(tiny, tmp_path, "-m", "seed=0,1", processes=1)
    assert code == 2
    assert "a sweep (-m) is planned by one process" in text


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["distributed.coordinator=localhost:1"], "expected all of coordinator, processes and process; process is"),
        (
            ["distributed.coordinator=h:1", "distributed.processes=2", "distributed.process=2"],
            "distributed.process: expected less than distributed.processes, 2, got 2",
        ),
    ],
)
def test_what_is_wrong_is_said(tiny: list[str], tmp_path: Path, given: list[str], message: str) -> None:
    done = subprocess.run(command(tiny, tmp_path, *given), capture_output=True, text=True)
    assert done.returncode == 2
    assert message in done.stderr
