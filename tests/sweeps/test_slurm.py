"""A real one-node Slurm cluster runs a sweep, a preempted job that resumes, and a job with several processes."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

import rnnbench

HERE = Path(__file__).parent / "slurm"
DAEMONS = ("slurmctld", "slurmd")


def missing() -> str | None:
    """Returns why no cluster can run here, or None if one can."""
    if os.geteuid() != 0:
        return "a Slurm daemon needs root"
    absent = [
        name for name in (*DAEMONS, "sbatch") if shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin") is None
    ]
    return f"not installed: {', '.join(absent)}" if absent else None


# Continuous integration sets the variable so that these tests cannot be skipped there.
pytestmark = pytest.mark.skipif(
    missing() is not None and os.environ.get("RNNBENCH_TEST_SLURM") != "1", reason=str(missing())
)


def wait_until(condition: Callable[[], object], seconds: float, what: Callable[[], object]) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, what()
        time.sleep(0.1)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Yields the environment variables of a user of the cluster."""
    folder = tmp_path_factory.mktemp("slurm")
    host, ports = socket.gethostname().partition(".")[0], []
    for _ in DAEMONS:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            ports.append(free.getsockname()[1])
    text = (HERE / "slurm.conf").read_text()
    for name, value in {"FOLDER": folder, "PORT1": ports[0], "PORT2": ports[1], "HOST": host}.items():
        text = text.replace(name, str(value))
    (folder / "slurm.conf").write_text(text)
    for name in ("state", "spool"):
        (folder / name).mkdir()
    env = os.environ | {
        "SLURM_CONF": str(folder / "slurm.conf"),
        "PATH": f"{HERE}:{os.environ['PATH']}:/usr/sbin",
    }
    daemons = [subprocess.Popen([name, "-D"], env=env, stderr=subprocess.DEVNULL) for name in DAEMONS]

    def state() -> str:
        return subprocess.run(["sinfo", "-h", "-o", "%T"], env=env, capture_output=True, text=True).stdout.strip()

    try:
        wait_until(lambda: state() == "idle", 60, lambda: [path.read_text() for path in folder.glob("*.log")])
        yield env
    finally:
        for daemon in reversed(daemons):
            daemon.terminate()
            daemon.wait()


def rnnbench_command(tiny: list[str], output: Path, *more: str) -> list[str]:
    return [sys.executable, "-m", "rnnbench", *tiny, f"output={output}", *more]


def to_step(folder: Path) -> int:
    """Returns the last step that a job has recorded."""
    try:
        return json.loads((folder / "provenance.json").read_text())["sessions"][-1]["to_step"]
    except (FileNotFoundError, IndexError):
        return 0


def task_of(job: str, env: dict[str, str]) -> int:
    """Returns the process id of the only task of a running job."""
    pids = subprocess.run(["scontrol", "listpids", f"{job}.0"], env=env, capture_output=True, text=True)
    header, *rows = (line.split() for line in pids.stdout.splitlines())
    tasks = [dict(zip(header, row, strict=True)) for row in rows]
    [pid] = [task["PID"] for task in tasks if task["LOCALID"] == "0"]
    return int(pid)


def rnns_with_batches_of_6(output: Path) -> list[Path]:
    return [path.parent for path in output.glob("adding-rnn-*/config.yaml") if "batch_size: 6\n" in path.read_text()]


def test_a_preempted_job_is_requeued_and_ends_as_an_uninterrupted_one(
    cluster: dict[str, str], tiny: list[str], tmp_path: Path
) -> None:
    long = ["train.steps=300", "train.eval_every=5", "train.checkpoint_seconds=0", "devices=1"]
    axes = ["model=rnn,lstm,gru", "train.batch_size=6,8", "seed=0,1"]
    launcher = ["launcher=slurm", "hydra.launcher.cpus_per_task=2", "hydra.launcher.timeout_min=10"]
    sweep = subprocess.Popen(
        rnnbench_command(tiny, tmp_path / "slurm", "-m", *long, *axes, *launcher),
        env=cluster,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        # The first job of the array is the RNN with batch size 6.
        wait_until(
            lambda: any(to_step(job) >= 20 for job in rnns_with_batches_of_6(tmp_path / "slurm")) or sweep.poll(),
            120,
            lambda: list(tmp_path.rglob("*")),
        )
        queue = subprocess.run(["squeue", "-h", "-r", "-o", "%A %F_%K %T"], env=cluster, capture_output=True, text=True)
        first = [line.split() for line in queue.stdout.splitlines() if line.split()[1].endswith("_0")]
        assert [state for _, _, state in first] == ["RUNNING"], queue
        # Not by scancel: on a busy machine the daemon may send a signal twice, and the second one reaches the requeued
        # job before Python handles signals.
        os.kill(task_of(first[0][0], cluster), signal.SIGUSR2)
        text, _ = sweep.communicate(timeout=240)
    finally:
        sweep.kill()
    assert sweep.returncode == 0, text
    runs = rnnbench.load_runs(tmp_path / "slurm")
    assert list(runs.status) == ["finished"] * 12
    provenances = {folder: json.loads(Path(folder, "provenance.json").read_text()) for folder in set(runs.folder)}
    assert len(provenances) == 6
    resumed = {folder: own["sessions"] for folder, own in provenances.items() if len(own["sessions"]) > 1}
    [(folder, sessions)] = resumed.items()
    assert [Path(folder)] == rnns_with_batches_of_6(tmp_path / "slurm")
    assert 20 <= sessions[0]["to_step"] < 300
    assert 0 < sessions[1]["from_step"] <= sessions[0]["to_step"]

    alone = rnnbench_command(tiny, tmp_path / "alone", *long, "model=rnn", "train.batch_size=6", "-m", "seed=0,1")
    subprocess.run(alone, check=True, capture_output=True)
    uninterrupted, interrupted = rnnbench.load_metrics(tmp_path / "alone"), rnnbench.load_metrics(folder)
    assert uninterrupted.equals(interrupted)


def test_a_job_of_several_processes(cluster: dict[str, str], tiny: list[str], tmp_path: Path) -> None:
    launcher = ["launcher=slurm", "hydra.launcher.cpus_per_task=1", "hydra.launcher.tasks_per_node=2"]
    axes = ["-m", "model=gru", "seed=range(4)"]
    done = subprocess.run(
        rnnbench_command(tiny, tmp_path / "slurm", *axes, *launcher), env=cluster, capture_output=True, text=True
    )
    assert done.returncode == 0, done
    subprocess.run(rnnbench_command(tiny, tmp_path / "alone", *axes), check=True, capture_output=True)
    two, one = (rnnbench.load_metrics(tmp_path / name) for name in ("slurm", "alone"))
    assert two.drop(columns="value").equals(one.drop(columns="value"))
    np.testing.assert_allclose(two.value, one.value, rtol=1e-3, atol=1e-5)
    [folder] = set(rnnbench.load_runs(tmp_path / "slurm").folder)
    [session] = json.loads(Path(folder, "provenance.json").read_text())["sessions"]
    assert len(session["devices"]) == 2, "one of each process"
