"""Reads ten thousand runs: `python experiments/reliability/scale.py`.

One run of each cell is trained, and copied under other seeds and ids, with scores that are shifted at random. The
copies are written in two ways (`--in-folder`): a folder for each run, the most files that so many runs can have, and
100 runs in a folder. Then the commands that read results are timed as a user gives them, with the time in which Python
starts, and the page is weighed. At last, one run's tables are made longer and longer.

The aims: `status`, `compare` and `load_runs` take less than 5 s each, the page has less than 15 MB, and the time to
read a run's table is proportional to its rows.
"""

import argparse
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from campaign import tracked, write_result

import rnnbench
from rnnbench.analysis.tables import load_metrics, load_runs
from rnnbench.records import files
from rnnbench.records.folders import job_folder, job_folders
from rnnbench.records.reader import read_runs, read_table, table_names
from rnnbench.records.writer import Records

AIMS = {"load_runs": 5.0, "status": 5.0, "compare": 5.0}
"""Seconds that reading all runs may take."""
MEGABYTES = 15.0
"""Size that the page may have."""
OVERRIDES = ["model=rnn,lstm,gru", "task=adding", "task.length=50", "model.hidden_size=16", "train.test_size=128"]


class Template:
    """The records of a trained run, to be copied.

    Attributes:
        row: its row of the runs table.
        tables: its other tables, by name.
    """

    def __init__(self, folder: Path) -> None:
        [self.row] = read_runs(folder)
        self.tables = {name: read_table(folder, name) for name in table_names(folder)}

    def copy(self, run_id: str, seed: int, draw: np.random.Generator) -> tuple[dict[str, Any], dict[str, pa.Table]]:
        """Returns the row and the tables of a run with another id and seed, whose scores are a little different."""
        shift = float(draw.lognormal(sigma=0.2))
        score = f"final.{self.row['score']}"
        row = self.row | {"run_id": run_id, "seed": seed, score: self.row[score] * shift}
        return row, {name: _with_id(table, run_id) for name, table in self.tables.items()}


def _with_id(table: pa.Table, run_id: str) -> pa.Table:
    place = table.schema.get_field_index("run_id")
    return table.set_column(place, "run_id", pa.array([run_id] * table.num_rows, table.schema.field(place).type))


def write(output: Path, templates: Sequence[Template], runs: int, in_folder: int, draw: np.random.Generator) -> None:
    """Writes copies of the templates.

    Args:
        output: where the job folders are written.
        templates: the runs to copy, one of each cell.
        runs: the number of copies.
        in_folder: the number of runs in a folder.
        draw: draws what differs.
    """
    # Nothing here has to survive a power cut, and waiting for the disk would take most of the time.
    files.os.fsync = lambda descriptor: None
    for number in tracked(range(runs // in_folder), f"{runs} runs, {in_folder} in a folder"):
        template = templates[number % len(templates)]
        copies = [
            template.copy(f"{number * in_folder + member:012x}", number * in_folder + member, draw)
            for member in range(in_folder)
        ]
        rows = [row for row, _ in copies]
        folder = job_folder(output, rows[0]["task.name"], rows[0]["model.name"], [row["run_id"] for row in rows])
        with Records(folder, {}) as records:
            records.start_session(0, devices=["cpu"])
            tables = {name: pa.concat_tables([own[name] for _, own in copies]) for name in template.tables}
            records.write(rows[0]["step"], tables)
            records.finish(rows)


def timed(function: Callable[[], object], times: int) -> float:
    """Returns the median time of a function in seconds."""
    seconds = []
    for _ in range(times):
        start = time.perf_counter()
        function()
        seconds.append(time.perf_counter() - start)
    return round(statistics.median(seconds), 2)


def command(*arguments: str) -> Callable[[], object]:
    """Returns a function that runs a Python command to its end."""
    return lambda: subprocess.run([sys.executable, *arguments], check=True, capture_output=True)


def reading(output: Path, times: int) -> Iterator[tuple[str, float]]:
    """Yields what reads all runs of a folder, and the seconds it takes."""
    load = f"import rnnbench; rnnbench.load_runs({str(output)!r})"
    yield "load_runs", timed(command("-c", load), times)
    yield "status", timed(command("-m", "rnnbench", "status", str(output)), times)
    yield "compare", timed(command("-m", "rnnbench", "compare", str(output)), times)
    yield "report", timed(command("-m", "rnnbench", "report", str(output)), 1)


def lengths(output: Path, template: Template, times: int) -> Iterator[tuple[int, float]]:
    """Yields numbers of rows of a run's `metrics`, and the seconds to read them."""
    once = template.tables["metrics"]
    for rows in (1_000, 10_000, 100_000, 1_000_000):
        copies = -(-rows // once.num_rows)
        table = pa.concat_tables([once] * copies).slice(0, rows)
        folder = output / f"adding-rnn-{rows:012d}"
        with Records(folder, {}) as records:
            records.start_session(0, devices=["cpu"])
            records.write(template.row["step"], {"metrics": table})
            records.finish([template.row])
        assert len(load_metrics(folder)) == rows
        yield rows, timed(lambda folder=folder: load_metrics(folder), times)


def main() -> None:
    """Writes the runs, reads them, prints the result and writes it to a file."""
    parser = argparse.ArgumentParser(description="How long it takes to read very many runs.")
    parser.add_argument("--runs", type=int, default=10_000, help="number of runs (default: %(default)s)")
    parser.add_argument("--in-folder", type=int, nargs="+", default=[1, 100], help="runs in a folder (default: 1 100)")
    parser.add_argument("--times", type=int, default=3, help="how often each is timed (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the scores (default: %(default)s)")
    parser.add_argument("--output", type=Path, default=Path("results/reliability"))
    options = parser.parse_args()
    began = time.monotonic()
    draw = np.random.default_rng(options.seed)
    root = options.output / "scale"
    shutil.rmtree(root, ignore_errors=True)
    rnnbench.train(rnnbench.compose_sweep(*OVERRIDES, f"output={root / 'templates'}"))
    templates = [Template(folder) for folder in job_folders(root / "templates")]
    rows = sum(table.num_rows for table in templates[0].tables.values())
    result: dict[str, Any] = {"runs": options.runs, "seed": options.seed, "rows_of_a_run": rows, "seconds": {}}
    missed = []
    for in_folder in options.in_folder:
        output = root / f"by-{in_folder}"
        write(output, templates, options.runs, in_folder, draw)
        assert len(load_runs(output)) == options.runs // in_folder * in_folder
        own = {name: seconds for name, seconds in reading(output, options.times)}
        page = round((output / "report.html").stat().st_size / 1e6, 1)
        missed += [f"{name}, {in_folder} in a folder" for name, aim in AIMS.items() if own[name] > aim]
        missed += [f"size of the page, {in_folder} in a folder"] * (page > MEGABYTES)
        result["seconds"][str(in_folder)] = own | {"page_megabytes": page}
        print(f"{in_folder} in a folder: {own}, page {page} MB")
    result["seconds_by_rows"] = {str(rows): s for rows, s in lengths(root / "lengths", templates[0], options.times)}
    print(f"rows of a run, and seconds: {result['seconds_by_rows']}")
    result["missed"] = missed
    print(f"aims missed: {missed or 'none'}")
    write_result(options.output / "scale.json", result, began)
    sys.exit(bool(missed))


if __name__ == "__main__":
    main()
