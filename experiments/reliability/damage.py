"""Damages every file of a job, one at a time: `python experiments/reliability/damage.py`.

The job is a population of two runs with checkpoints, gradient flow, gate traces and completed sentences. Every file of
the finished job, and of the same job interrupted, is cut to half its length, cut by one byte, emptied, deleted, and
flipped at random bits, each on a fresh copy of the results. Locks hold no records and are left out. Everything runs in
one process, so that the program is compiled once.

The verdict is "pass" if there is no fault, and these are faults:

- A read (`load_runs`, `table_names`, `load_table` for each table, `load_model`, `rnnbench status` and `compare`) raises
  anything but a `UserError`, or neither returns what it returns without the damage nor names the file in its error or
  on stderr. For a file of a checkpoint, the checkpoint's folder is name enough. `load_model` reads no tables, so bits
  flipped in tables are read without it; nothing else reads checkpoints, so bits flipped there are read by it alone.
- After the same command, a table, the configuration or the plan of the sweep is not the same bytes as without the
  damage, or the runs' last states (parameters, the optimizer's, random keys) are not the same bits, or there is a file
  more or less. The command is given after each kind of damage to each file, and after some of the flips.
"""

import argparse
import contextlib
import gc
import random
import shutil
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import campaign
from campaign import TINY, Ended, command, interrupted, outcome, tracked, workspace, write_result

import rnnbench
from rnnbench.records.folders import HOLDER, LOCK

KINDS: dict[str, Callable[[bytes], bytes | None]] = {
    "half": lambda content: content[: len(content) // 2],
    "one byte less": lambda content: content[:-1],
    "emptied": lambda content: b"",
    "deleted": lambda content: None,
}
"""Ways to damage a whole file. None stands for no file."""


class Damage(NamedTuple):
    """A file of a job, and what happens to it: the name of a kind, or the bit that is flipped."""

    job: str
    file: Path  # in the results folder
    what: str | int

    @property
    def kind(self) -> str:
        return "bit flipped" if isinstance(self.what, int) else self.what

    def inflict(self, results: Path) -> None:
        path = results / self.file
        content = path.read_bytes()
        if isinstance(self.what, int):
            damaged: bytes | None = flipped(content, self.what)
        else:
            damaged = KINDS[self.what](content)
        if damaged is None:
            path.unlink()
        else:
            path.write_bytes(damaged)

    def is_named(self, text: str, results: Path) -> bool:
        """Returns whether a text names the file, or the checkpoint that it belongs to."""
        parts = self.file.parts
        end = parts.index("checkpoints") + 2 if "checkpoints" in parts else len(parts)
        return str(results.joinpath(*parts[:end])) in text


def flipped(content: bytes, bit: int) -> bytes:
    """Returns the content with one bit flipped."""
    changed = bytearray(content)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


class Jobs:
    """The undamaged jobs, and what every read of them returns.

    Attributes:
        results: where the sweep is recorded, and where each copy is damaged.
        kept: the undamaged results by job, finished or interrupted.
    """

    def __init__(self, folder: Path) -> None:
        """Trains the jobs."""
        self.results, self._apart = folder / "results", folder / "compared"
        self.kept = {job: folder / job for job in ("finished", "interrupted")}
        for job, kept in self.kept.items():
            shutil.rmtree(self.results, ignore_errors=True)
            with interrupted() if job == "interrupted" else contextlib.nullcontext():
                self.train()
            shutil.copytree(self.results, kept)
        self._tables = rnnbench.table_names(self.kept["finished"])
        self._states = campaign.states(self.kept["finished"])
        self._files = files(self.kept["finished"])
        self._undamaged = {}
        for job in self.kept:
            self.restore(job)
            reads = campaign.reads(self.results, self._apart, self._tables)
            self._undamaged[job] = {name: outcome(read) for name, read in reads.items()}
        gc.collect()
        gc.freeze()  # what training holds; reading a checkpoint collects garbage

    def train(self) -> Ended:
        """Gives the command that trains the sweep, and trains again what is lost."""
        return command("-m", *TINY, "seed=0,1", f"output={self.results}")

    def restore(self, job: str) -> None:
        """Puts an undamaged copy where the sweep is recorded."""
        shutil.rmtree(self.results, ignore_errors=True)
        shutil.copytree(self.kept[job], self.results)

    def reads(self, damage: Damage) -> dict[str, Callable[[], Any]]:
        """Returns the reads by name; after a flip, only those that look at such a file."""
        found = campaign.reads(self.results, self._apart, self._tables)
        if damage.kind == "bit flipped" and "checkpoints" in damage.file.parts:
            return {"load_model": found["load_model"]}
        if damage.kind == "bit flipped" and damage.file.suffix == ".parquet":
            del found["load_model"]
        return found

    def damages(self, flips: int, draw: random.Random) -> Iterator[Damage]:
        """Yields all damages: those to whole files, then this number of bits of each file."""
        for job, kept in self.kept.items():
            for file in files(kept):
                size = (kept / file).stat().st_size
                whats: list[str | int] = [*KINDS, *draw.sample(range(8 * size), min(flips, 8 * size))]
                yield from (Damage(job, file, what) for what in whats)

    def read_faults(self, damage: Damage, counts: Counter[str]) -> list[str]:
        """Reads a damaged copy in every way. Returns what is wrong with what came of it."""
        self.restore(damage.job)
        damage.inflict(self.results)
        found = []
        for name, read in self.reads(damage).items():
            came = outcome(read)
            if came.crashed:
                found.append(f"{name} crashed: {came.said}")
            elif damage.is_named(came.said, self.results):
                counts["file named"] += 1
            elif came.equals(self._undamaged[damage.job][name]):
                counts["right"] += 1
            else:
                found.append(f"{name} is wrong and does not name the file: {came.said}")
        return found

    def heal_faults(self, damage: Damage) -> list[str]:
        """Gives the same command on a damaged copy. Returns what differs from the undamaged job afterwards."""
        self.restore(damage.job)
        damage.inflict(self.results)
        if (ended := self.train()).code != 0:
            return [f"the same command ends with exit code {ended.code}: {ended.said}"]
        found, after = [], files(self.results)
        for file in sorted({*self._files, *after}):
            if "checkpoints" not in file.parts and self._files.get(file) != after.get(file):
                found.append(f"{file.name} differs after the same command")
        if campaign.states(self.results) != self._states:
            found.append("after the same command, the last states are not those of the undamaged job")
        return found


def files(results: Path) -> dict[Path, bytes]:
    """Returns the files by their paths in the folder. What depends on the clock has no content; locks are left out."""
    return {
        path.relative_to(results): b"" if path.name == "provenance.json" else path.read_bytes()
        for path in sorted(results.rglob("*"))
        if path.is_file() and path.name not in (LOCK, HOLDER)
    }


def run(folder: Path, flips: int, healed_flips: int, seed: int) -> dict[str, Any]:
    """Does all damages, and returns the counts, the faults and the verdict.

    Args:
        folder: an empty folder to work in.
        flips: how many bits of each file are flipped.
        healed_flips: after how many of these the same command is given.
        seed: of the random bits.
    """
    jobs = Jobs(folder)
    damages = list(jobs.damages(flips, random.Random(seed)))
    reads: Counter[str] = Counter()
    done: Counter[str] = Counter()
    healed: Counter[str] = Counter()
    faults: Counter[tuple[str, str, str, str]] = Counter()
    flips_seen: Counter[tuple[str, Path]] = Counter()
    for damage in tracked(damages, "damages"):
        done[damage.kind] += 1
        flips_seen[damage.job, damage.file] += damage.kind == "bit flipped"
        found = jobs.read_faults(damage, reads)
        if damage.kind != "bit flipped" or flips_seen[damage.job, damage.file] <= healed_flips:
            healed[damage.kind] += 1
            found += jobs.heal_faults(damage)
        for text in found:
            faults[damage.job, str(damage.file), damage.kind, text.replace(str(folder), "")] += 1
    return {
        "files": {job: len(files(kept)) for job, kept in jobs.kept.items()},
        "damages": dict(done),
        "reads": dict(reads),
        "same command given": dict(healed),
        "faults": [
            dict(zip(("job", "file", "kind", "fault"), key, strict=True)) | {"times": n} for key, n in faults.items()
        ],
        "verdict": "fail" if faults else "pass",
    }


def main() -> None:
    """Does all damages, prints the verdict and writes the result to a file."""
    parser = argparse.ArgumentParser(description="No damage to a file goes unnoticed, and the same command mends it.")
    parser.add_argument("--flips", type=int, default=50, help="bits to flip in each file (default: %(default)s)")
    parser.add_argument(
        "--healed-flips", type=int, default=1, help="of them, how many to train after (default: %(default)s)"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the random bits (default: %(default)s)")
    parser.add_argument("--output", type=Path, default=Path("results/reliability"))
    options = parser.parse_args()
    began = time.monotonic()
    with workspace() as folder:
        result = run(folder, options.flips, options.healed_flips, options.seed)
    result = {"seed": options.seed, "flips": options.flips, **result}
    for fault in result["faults"]:
        print(*fault.values(), sep=": ")
    print(f"{sum(result['damages'].values())} damages, {sum(result['reads'].values())} reads: {result['verdict']}")
    write_result(options.output / "damage.json", result, began)
    sys.exit(result["verdict"] != "pass")


if __name__ == "__main__":
    main()
