"""Trains on a disk that is full, read-only, or has odd names: `python experiments/reliability/disk.py`.

The disk is a small tmpfs, which root must mount; without root, only the names are tried. The job is a population of two
runs. What it leaves is compared with a job on a usual disk.

- full: all but N bytes are taken, for N from 0 in equal steps until the job ends well, from nothing and from an
  interrupted job. So the disk fills while folders, records, and checkpoints are written. `rnnbench compare`, `report`
  and `probe` also meet a full disk.
- read-only: the tmpfs is mounted read-only below nothing, an interrupted, and a finished job.
- names: `output=` gets odd names, as they are and quoted as Hydra wants it.

The verdict is "pass" if there is no fault, and these are faults:

- A command that cannot write does not end with exit code 2 and one line that names the path and the reason.
- A row that could be read before cannot be read afterwards, or a row is read that the undisturbed job does not have.
  From a read-only folder, anything is read differently (`load_model` locks the job; it may say in one line why not).
- After room is made, the same command does not end with the same bits in every table and in every last state.
- A name is neither refused in one line before anything is written, nor, as Hydra reads it, the folder in which the
  same bits are found, and nothing beside it.
"""

import argparse
import contextlib
import os
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import campaign
from campaign import (
    TINY,
    Ended,
    command,
    differences,
    interrupted,
    is_one_clear_line,
    outcome,
    tracked,
    workspace,
    write_result,
)

import rnnbench

PAGE = 4096
"""What a tmpfs gives room for at once."""

NAMES = [
    *(
        "with space",
        " leading and trailing ",
        "it's",
        'say "so"',
        "line\nbreak",
        "tab\tstop",
        "\x1b[31mred",
        "back\\slash",
    ),
    *("ünïcödé", "漢字", "🙂", "e\u0301", "\u202eright to left", "-dash", "--help", "a=b", "=", "[list]", "[", "star*"),
    *(
        "quest?",
        "{brace}",
        "{a:b}",
        "(paren)",
        "a,b",
        "a:b",
        "#hash",
        "%20",
        "a;b",
        "a&b|c",
        "$HOME",
        "${seed}",
        "~home",
    ),
    *("!", "null", "true", "1e3", "...", ".hidden", "a/b/c", "a//b/", "a/../b", "metrics.parquet", "checkpoints"),
    *("n" * 255, "n" * 256, "ü" * 128, "/".join(["deep" * 10] * 20)),
]
"""Names of folders that trip up shells, Hydra's grammar, glob patterns, URLs, and file systems."""

LOCKED = ("load_model",)
"""Reads that write to the job's folder, because they lock it."""


class Disk:
    """A small file system of its own.

    Attributes:
        path: where it is mounted.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._filler = path / "filler"

    def leave(self, size: int) -> None:
        """Takes all room except for this many bytes."""
        self.make_room()
        free = os.statvfs(self.path)
        self._filler.write_bytes(bytes(max(0, free.f_bavail * free.f_frsize - size)))

    def make_room(self) -> None:
        """Gives back what `leave` took."""
        self._filler.unlink(missing_ok=True)

    def remount(self, how: str) -> None:
        """Mounts the disk again, as `ro` or `rw`."""
        subprocess.run(["mount", "-o", f"remount,{how}", self.path], check=True)


def may_mount() -> bool:
    """Returns whether this process may mount disks, which in some containers even root may not."""
    with workspace() as folder, contextlib.suppress(OSError, subprocess.CalledProcessError), mounted(folder / "disk"):
        return True
    return False


@contextlib.contextmanager
def mounted(path: Path) -> Iterator[Disk]:
    """Mounts a disk of 4 MB, and takes it away at the end."""
    path.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4M", "tmpfs", path], check=True, capture_output=True)
    try:
        yield Disk(path)
    finally:
        subprocess.run(["umount", "--lazy", path], check=True)


def train(output: Path | str) -> Ended:
    """Trains the population, or what is left of it, in one command line."""
    return command(*TINY, "population.members={seed:[0,1]}", f"output={output}")


def quote(name: str) -> str:
    """Returns a name in Hydra's quotes."""
    return "'" + name.replace("'", "\\'") + "'"


def in_short(said: str) -> str:
    """Returns what a command said on stderr without the stacks of tracebacks."""
    lines = [line for line in said.splitlines() if line.startswith("rnnbench: ")]
    return " ".join([*(["(a traceback)"] if "Traceback" in said else []), *lines])


def rows(results: Path) -> Counter[str]:
    """Returns the rows of all tables but the runs' own, as text."""
    try:
        names = rnnbench.table_names(results)
    except rnnbench.errors.UserError:  # nothing is recorded yet
        return Counter()
    tables = {name: rnnbench.load_table(results, name) for name in names}
    return Counter(f"{name} {row!r}" for name, table in tables.items() for row in table.itertuples(index=False))


class Campaign:
    """The jobs that a disk is tried with, the counts, and the faults.

    Attributes:
        counts: what was tried and how it ended.
        faults: what was wrong.
    """

    def __init__(self, folder: Path) -> None:
        """Trains the jobs on a usual disk."""
        self.folder = folder
        self.undisturbed, self._apart = folder / "undisturbed", folder / "compared"
        self.counts: dict[str, Counter[str]] = {"full": Counter(), "read-only": Counter(), "names": Counter()}
        self.faults: list[str] = []
        with interrupted():
            train(self.undisturbed)
        self.starts = {"nothing": None, "interrupted": folder / "interrupted", "finished": self.undisturbed}
        shutil.copytree(self.undisturbed, folder / "interrupted")
        train(self.undisturbed)
        self.all_rows = rows(self.undisturbed)

    def blame(self, where: str, what: str, ended: Ended | None = None) -> None:
        """Notes a fault."""
        said = f": exit code {ended.code}: {in_short(ended.said)}" if ended else ""
        self.faults.append(f"{where}: {what}{said}".replace(str(self.folder), ""))

    def begin(self, start: str, results: Path) -> None:
        """Puts the results of a start in place."""
        shutil.rmtree(results, ignore_errors=True)
        if (kept := self.starts[start]) is not None:
            shutil.copytree(kept, results)

    def check_rows(self, where: str, before: Counter[str], results: Path) -> None:
        """Checks that no row is lost, and none is wrong."""
        after = rows(results) if results.exists() else Counter()
        if lost := before - after:
            self.blame(where, f"{lost.total()} rows lost, such as {next(iter(lost))}")
        if wrong := after - self.all_rows:
            self.blame(where, f"{wrong.total()} rows that the undisturbed job has not, such as {next(iter(wrong))}")

    def check_end(self, where: str, results: Path) -> None:
        """Checks that the same command, with room, ends as if nothing had happened."""
        if (ended := train(results)).code != 0:
            self.blame(where, "the same command fails with room", ended)
        elif found := differences(self.undisturbed, results):
            self.blame(where, f"the same command ends with other {', '.join(found)}")

    def fill(self, disk: Disk, start: str, step: int) -> None:
        """Lets the disk run full at more and more late points, until the job ends well twice."""
        size, well = 0, 0
        while well < 2:
            well += self.fill_once(disk, start, size)
            size += step

    def fill_once(self, disk: Disk, start: str, size: int) -> bool:
        """Trains with this many bytes of room. Returns whether they are enough."""
        results, where = disk.path / "results", f"full, {size // 1024} KiB left, from {start}"
        self.begin(start, results)
        before = rows(results) if results.exists() else Counter()
        disk.leave(size)
        ended = train(results)
        while_writing = "checkpoints" if "checkpoint" in ended.said else "records"
        self.counts["full"][f"ended while writing {while_writing}" if ended.code else "ended well"] += 1
        if ended.code and not is_one_clear_line(ended, str(results), "No space left on device", "same command"):
            self.blame(where, "no clear line", ended)
        self.check_rows(where, before, results)
        disk.make_room()
        self.check_end(where, results)
        return ended.code == 0

    def fill_commands(self, disk: Disk) -> None:
        """Lets other commands than training meet a full disk."""
        results = disk.path / "results"
        for name in ("compare", "report", "probe"):
            for size in (0, PAGE, 4 * PAGE):
                self.begin("finished", results)
                where = f"full, {size // 1024} KiB left, rnnbench {name}"
                disk.leave(size)
                ended = command(name, str(results))
                if ended.code != 0 and not is_one_clear_line(ended, str(results), "No space left on device"):
                    self.blame(where, "no clear line", ended)
                self.counts["full"][f"rnnbench {name} {'ended well' if ended.code == 0 else 'stopped'}"] += 1
                disk.make_room()
                for probed in results.glob("*/probes"):
                    shutil.rmtree(probed)
                self.check_end(where, results)

    def lock_up(self, disk: Disk) -> None:
        """Mounts the disk read-only below each start, trains, and reads."""
        results = disk.path / "results"
        for start in self.starts:
            where = f"read-only, {start}"
            self.begin(start, results)
            reads = campaign.reads(results, self._apart, rnnbench.table_names(self.undisturbed))
            expected = {name: outcome(read) for name, read in reads.items()} if results.exists() else {}
            self.begin(start, results)  # reading a model writes to its folder
            disk.remount("ro")
            ended = train(results)
            self.counts["read-only"][f"{start}: exit code {ended.code}"] += 1
            if start == "finished" and ended.code != 0:
                self.blame(where, "a finished job is not left as it is", ended)
            if start != "finished" and not is_one_clear_line(ended, str(results), "Read-only file system"):
                self.blame(where, "no clear line", ended)
            for name, before in expected.items():
                came = outcome(reads[name])
                refused = name in LOCKED and "Read-only file system" in came.said and not came.crashed
                self.counts["read-only"]["read refused" if refused else "read right"] += 1
                if not refused and not came.equals(before):
                    self.blame(where, f"{name} is read differently: {came.said}")
            disk.remount("rw")
            self.check_end(where, results)

    def name(self, folder: Path, name: str, quoted: bool) -> None:
        """Trains into a folder with an odd name."""
        folder.mkdir(parents=True)
        where = f"{'quoted' if quoted else 'bare'} name {name!r}"
        override = f"output={quote(name) if quoted else name}"
        with contextlib.chdir(folder):
            ended = command(*TINY, "population.members={seed:[0,1]}", override)
            made = {path.name for path in folder.iterdir()}
            self.counts["names"][
                f"{'quoted' if quoted else 'bare'}, {'trained' if ended.code == 0 else 'refused'}"
            ] += 1
            if ended.code != 0:
                if not is_one_clear_line(ended):
                    self.blame(where, "no clear line", ended)
                if made:
                    self.blame(where, f"refused, but there is {sorted(made)}", ended)
                return
            read = rnnbench.compose(override).output  # Hydra reads true as a value, say
            if not Path(read).is_dir() or not made <= {*Path(read).parts}:
                self.blame(where, f"expected results in {read!r}, got them in {sorted(made)}")
            elif found := differences(self.undisturbed, Path(read)):
                self.blame(where, f"other {', '.join(found)}")
            for other in ("status", "compare"):
                if (ended := command(other, f"./{read}")).code != 0:
                    self.blame(where, f"rnnbench {other} fails", ended)


def run(folder: Path, step: int, names: list[str]) -> dict[str, Any]:
    """Tries all disks, and returns the counts, the faults and the verdict.

    Args:
        folder: an empty folder to work in.
        step: by how many bytes more room there is from one full disk to the next.
        names: the odd names.
    """
    tried = Campaign(folder)
    mounts = may_mount()
    if mounts:
        with mounted(folder / "disk") as disk:
            for start in tracked(["nothing", "interrupted"], "full disks"):
                tried.fill(disk, start, step)
            tried.fill_commands(disk)
            tried.lock_up(disk)
    else:
        print(
            "skipped: full and read-only disks, since only root may mount a tmpfs; run it as root, in a container say"
        )
    for number, name in enumerate(tracked(names, "names")):
        for quoted in (False, True):
            tried.name(folder / f"names/{number}-{quoted}", name, quoted)
    return {
        "skipped": [] if mounts else ["full", "read-only"],
        "counts": {part: dict(sorted(counts.items())) for part, counts in tried.counts.items()},
        "faults": tried.faults,
        "verdict": "fail" if tried.faults else "pass",
    }


def main() -> None:
    """Tries all disks, prints the verdict and writes the result to a file."""
    parser = argparse.ArgumentParser(description="No disk makes a job lose what it has recorded.")
    parser.add_argument(
        "--step", type=int, default=4, help="KiB from one full disk to the next (default: %(default)s, the least)"
    )
    parser.add_argument("--names", type=int, default=len(NAMES), help="how many odd names (default: %(default)s, all)")
    parser.add_argument("--output", type=Path, default=Path("results/reliability"))
    options = parser.parse_args()
    output = options.output.resolve()
    began = time.monotonic()
    with workspace() as folder:
        result = {"step": options.step, **run(folder, 1024 * options.step, NAMES[: options.names])}
    print(*result["faults"], f"{result['counts']}: {result['verdict']}", sep="\n")
    write_result(output / "disk.json", result, began)
    sys.exit(result["verdict"] != "pass")


if __name__ == "__main__":
    main()
