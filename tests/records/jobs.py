"""A small job for the tests of records: writes its files and reads them back."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from rnnbench.records.reader import read_table
from rnnbench.records.writer import Records
from tests.helpers import row, tables_of

CONFIG = {"model": {"name": "gru"}, "train": {"clip_norm": None}}


def metrics(step: int, runs: Iterable[str] = ("r",)) -> dict[str, Any]:
    """Returns the rows of one segment. The values identify the run and the step."""
    values = [step + index / 1000 for index, _ in enumerate(runs)]
    return {"run_id": list(runs), "step": step, "split": "test", "metric": "accuracy", "value": values}


def scores(step: int) -> dict[str, Any]:
    """Returns the scores of one segment in two bins."""
    score = {"run_id": "r", "step": step, "metric": "accuracy", "by": "distance", "low": [1, 3], "high": [2, 4]}
    return {**score, "value": 0.5, "count": 8}


def train(folder: Path, start: int | None, stop: int) -> None:
    """Writes what the runner writes for a job of six segments, from `start` until a kill at `stop`."""
    with Records(folder, CONFIG) as owner:
        owner.rewind(start, [row(step=start or 0)])
        owner.start_session(start or 0)
        for step in range(0 if start is None else start + 100, stop + 1, 100):
            owner.write(step, tables_of({"metrics": metrics(step), "scores": scores(step)}))
            owner.set_runs([row(step=step)])
        if stop == 500:
            owner.finish([row("r", "finished", 500)])


def steps(folder: Path) -> list[int]:
    """Returns the steps of the recorded metrics."""
    return read_table(folder, "metrics")["step"].to_pylist()


def contents(folder: Path) -> dict[str, bytes]:
    """Returns every file of a job that does not depend on the clock or the process."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in ("provenance.json", "lock", "holder")
    }


def flip(path: Path, bit: int) -> None:
    """Flips one bit of a file, as a failing disk does."""
    content = bytearray(path.read_bytes())
    content[bit // 8] ^= 1 << bit % 8
    path.write_bytes(content)
