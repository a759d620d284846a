"""What the campaigns have in common: a small job, commands in this process, comparisons, and the result file."""

import contextlib
import functools
import io
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar
from unittest import mock

import jax
import numpy as np
import pandas as pd
from flax import nnx
from rich.console import Console
from rich.progress import track

import rnnbench
from rnnbench.commands import cli
from rnnbench.config.identity import run_id
from rnnbench.errors import UserError
from rnnbench.records.damage import tell
from rnnbench.records.folders import job_folders
from rnnbench.records.provenance import machine_and_packages
from rnnbench.training.checkpoints import Checkpoints
from rnnbench.training.trained import load_job, read_config

Item = TypeVar("Item")
console = Console(stderr=True, highlight=False)


TINY = [
    *("model=gru", "task=sentence_completion", "task.max_distance=13", "model.hidden_size=3", "model.embedding_size=2"),
    *("train.steps=12", "train.eval_every=4", "train.log_every=2", "train.batch_size=4", "train.test_size=8"),
    *("train.checkpoint_seconds=0", "probe.size=2", "report=false", "devices=1"),
]
"""A job that trains in a second once it is compiled: with checkpoints, gradient flow, gate traces and sentences."""


@contextlib.contextmanager
def workspace() -> Iterator[Path]:
    """Yields an empty folder to work in, in memory if possible, so that no time is spent on waiting for a disk."""
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.path.isdir("/dev/shm") else None) as folder:
        yield Path(folder).resolve()


class Ended(NamedTuple):
    """How a command ended."""

    code: int
    printed: str  # on stdout
    said: str  # on stderr


class Outcome(NamedTuple):
    """What came of a read: its value (for an error, the type and the message), and all that was said."""

    value: Any
    said: str
    crashed: bool = False

    def equals(self, other: "Outcome") -> bool:
        """Returns whether the values are equal."""
        if isinstance(self.value, pd.DataFrame) and isinstance(other.value, pd.DataFrame):
            return self.value.equals(other.value)
        return type(self.value) is type(other.value) and self.value == other.value


def tracked(items: Sequence[Item], what: str) -> Iterable[Item]:
    """Yields the items, and shows on stderr how many are done and how long the others will take."""
    return track(items, what, console=console)


def command(*arguments: str) -> Ended:
    """Runs a command line in this process."""
    tell.cache_clear()  # each command must say again what it left out
    with contextlib.redirect_stdout(io.StringIO()) as printed, contextlib.redirect_stderr(io.StringIO()) as said:
        code = cli.main(arguments)
    return Ended(code, printed.getvalue(), said.getvalue())


def is_one_clear_line(ended: Ended, *words: str) -> bool:
    """Returns whether a command ended by saying in its last line, and nowhere else, what the user can mend.

    Args:
        ended: how the command ended.
        words: what the line must contain.
    """
    *before, last = ended.said.strip("\n").split("\n")
    marks = ("error", "Traceback", "Error", "bug")
    clear = last.startswith("rnnbench: error: ") and not any(mark in line for mark in marks for line in before)
    return ended.code == 2 and clear and "bug" not in last and all(word in last for word in words)


def reads(results: Path, apart: Path, tables: Sequence[str]) -> dict[str, Callable[[], Any]]:
    """Returns everything that reads results, by name. `load_model` is the last, since it deletes damaged checkpoints.

    Args:
        results: the results folder.
        apart: where `rnnbench compare` writes.
        tables: names of tables.
    """
    return {
        "load_runs": lambda: rnnbench.load_runs(results),
        "table_names": lambda: rnnbench.table_names(results),
        **{f"load_table {name}": functools.partial(rnnbench.load_table, results, name) for name in tables},
        "status": lambda: _read_by(command("status", str(results))),
        "compare": lambda: _read_by(command("compare", str(results), "--output", str(apart))),
        "load_model": lambda: _parameters(results),
    }


def _read_by(ended: Ended) -> tuple[int, str]:
    print(ended.said, end="", file=sys.stderr)
    return ended.code, ended.printed


def _parameters(results: Path) -> list[bytes]:
    """Returns the parameters of the first run, as `load_model` reads them."""
    model = rnnbench.load_model(results, rnnbench.load_runs(results)["run_id"].iloc[0])
    return [bits(leaf) for leaf in jax.tree.leaves(nnx.to_pure_dict(nnx.state(model, nnx.Param)))]


def outcome(read: Callable[[], Any]) -> Outcome:
    """Reads, and returns what came of it."""
    tell.cache_clear()  # each read must say again what it left out
    with contextlib.redirect_stderr(io.StringIO()) as said:
        try:
            value, crashed = read(), False
        except UserError as error:
            value, crashed = f"{type(error).__name__}: {error}", False
        except Exception as error:
            value, crashed = f"{type(error).__name__}: {error}", True
    text = said.getvalue() + (value if isinstance(value, str) else "")
    return Outcome(value, text, crashed or "Traceback" in text or "looks like a bug" in text)


@contextlib.contextmanager
def interrupted() -> Iterator[None]:
    """Interrupts the job that is trained in the block, as Ctrl-C does, after its second checkpoint."""
    save = Checkpoints.save
    steps: list[int] = []

    def interrupt(self: Checkpoints, step: int, *arguments: Any, **options: Any) -> None:
        save(self, step, *arguments, **options)
        steps.append(step)
        if len(steps) == 2:
            raise KeyboardInterrupt

    with mock.patch.object(Checkpoints, "save", interrupt):
        yield


def differences(one: Path, other: Path) -> list[str]:
    """Returns what differs between two folders of the same sweep: missing or doubled runs, tables, and parameters."""
    found = []
    runs = [rnnbench.load_runs(folder) for folder in (one, other)]
    if runs[0]["run_id"].tolist() != runs[1]["run_id"].tolist() or runs[1]["run_id"].duplicated().any():
        found.append("runs")
    for name in sorted({*rnnbench.table_names(one), *rnnbench.table_names(other)}):
        tables = [rnnbench.load_table(folder, name) for folder in (one, other)]
        if not tables[0].equals(tables[1]):
            found.append(f"table {name}")
    if not runs[0].drop(columns="folder").equals(runs[1].drop(columns="folder")):
        found.append("table runs")
    try:
        ours, theirs = states(one), states(other)
    except UserError as error:
        return [*found, f"states: {error}"]
    return found + [f"state of run {run}" for run in sorted({*ours, *theirs}) if ours.get(run) != theirs.get(run)]


def states(path: Path) -> dict[str, bytes]:
    """Returns each run's last state: step, parameters, the optimizer's state, random keys."""
    found = {}
    for folder in job_folders(path):
        _, configs = read_config(folder)
        with contextlib.redirect_stderr(io.StringIO()):  # what is damaged, it says
            job = load_job(folder, configs)
        for number, config in enumerate(job.configs):
            own = [bits(leaf[number]) for leaf in jax.tree.leaves(job.states)]
            found[run_id(config)] = b"".join([str(job.step).encode(), *own])
    return found


def bits(array: jax.Array) -> bytes:
    """Returns the bytes of an array, or of random keys."""
    is_key = jax.numpy.issubdtype(array.dtype, jax.dtypes.prng_key)
    return np.asarray(jax.random.key_data(array) if is_key else array).tobytes()


def write_result(path: Path, result: Mapping[str, Any], began: float) -> None:
    """Writes a campaign's result, with the machine and the packages, and says where.

    Args:
        path: the file.
        result: what is in it.
        began: when the campaign began, by `time.monotonic`.
    """
    minutes = round((time.monotonic() - began) / 60, 1)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"machine": machine_and_packages(), "minutes": minutes, **result}, indent=1) + "\n")
    console.print(f"written: {path}", soft_wrap=True)
