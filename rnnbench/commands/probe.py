"""`rnnbench probe RUN`: measures trained models from their checkpoints."""

import argparse
import sys
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import yaml
from rich.console import Console
from rich.markup import escape
from rich.progress import track
from rich.text import Text

from rnnbench.analysis.settings import label_runs
from rnnbench.analysis.tables import load_runs
from rnnbench.commands import terminal
from rnnbench.commands.parser import Parser, results_folder
from rnnbench.config.identity import run_id
from rnnbench.config.parse import check_numbers
from rnnbench.errors import DamagedError, UserError
from rnnbench.probes.base import Probe
from rnnbench.probes.finding import built_in, make_probe
from rnnbench.records.damage import tell
from rnnbench.records.folders import job_folders
from rnnbench.records.schemas import SCHEMAS
from rnnbench.records.writer import Records
from rnnbench.training import distributed, tables
from rnnbench.training.devices import use_compilation_cache, use_devices
from rnnbench.training.switches import refuse_switches
from rnnbench.training.trained import load_job, read_config
from rnnbench.visible import visible

AT_EVERY_EVALUATION = "gradient_flow"
"""Already measured during training, so it is not measured again by default."""

MAX_SHOWN = 24


def main(argv: Sequence[str] | None = None) -> int:
    """Probes the runs in a folder, and returns the exit code.

    Args:
        argv: the command line after `probe`.

    Raises:
        UserError: no run has a checkpoint, or a probe or one of its arguments is not valid.
    """
    known = {name: probe for name, probe in built_in().items() if name != AT_EVERY_EVALUATION}
    parser = Parser(
        prog="rnnbench probe",
        description="Measures trained models from their checkpoints, and records the results beside the others.",
        epilog="\n".join(["probes:", *(f"  {name:<13} {_first_line(probe)}" for name, probe in built_in().items())]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "folder", metavar="RUN", type=results_folder, help="the folder of one job, or a folder above several"
    )
    parser.add_argument("--size", type=_size, default=256, help="examples in the probe batch (default: %(default)s)")
    parser.add_argument(
        "--probes",
        metavar="NAME,...",
        type=terminal.names,
        default=[*known],
        help=f"probes listed below, or dotted names of your own classes (default: {','.join(known)})",
    )
    parser.add_argument(
        "--set",
        metavar="PROBE.ARGUMENT=VALUE",
        action="append",
        default=[],
        help="an argument of a probe, such as jacobians.lags=[1,8,64]; can be repeated",
    )
    parser.add_argument(
        "--allow",
        metavar="PACKAGE,...",
        type=terminal.names,
        default=[],
        help="packages that you trust: the results may use their cells and tasks, besides rnnbench's own",
    )
    arguments = parser.parse_args(argv)
    folders = [*job_folders(arguments.folder)]
    jobs = [folder for folder in folders if any((folder / "checkpoints").glob("*"))]
    if not jobs:
        raise UserError(f"{arguments.folder}: no run with a checkpoint in it or below it; only such can be probed")
    probes = _probes(arguments.probes, arguments.set)
    runs = load_runs(arguments.folder)
    labels = label_runs(runs).set_index("run_id")
    without = len(folders) - len(jobs)
    # Of the others, a damaged one was named, and another job got further with the same runs.
    read = set(runs["folder"])
    jobs = [folder for folder in jobs if str(folder) in read]
    use_compilation_cache()
    use_devices(None)
    metrics: dict[str, pa.Table] = {}
    try:
        for number, folder in enumerate(jobs, 1):
            try:
                metrics |= _probe(folder, probes, arguments, f"{number}/{len(jobs)} {folder.name}")
            except DamagedError as error:
                tell(f"left out: {error}")
    finally:
        if metrics:
            _show(metrics, probes, labels)
    if not metrics:
        raise UserError(f"{arguments.folder}: expected a run with a checkpoint that neither diverged nor is damaged")
    if without:
        print(f"{without} jobs without a checkpoint were left out")
    return 0


def _first_line(probe: type[Probe]) -> str:
    return (probe.__doc__ or "").strip().partition("\n")[0]


def _size(text: str) -> int:
    if not text.isdecimal() or int(text) < 3:
        raise argparse.ArgumentTypeError(f"expected a whole number, 3 or more, got {text!r}")
    return int(text)


def _probes(names: Sequence[str], settings: Sequence[str]) -> list[Probe]:
    """Returns the requested probes, with their arguments."""
    given: dict[str, dict[str, Any]] = defaultdict(dict)
    for setting in settings:
        key, equals, value = setting.partition("=")
        probe, dot, argument = key.rpartition(".")
        if not equals or not dot or probe not in names or argument.startswith("_"):  # such keys are Hydra's
            raise UserError(f"--set: expected PROBE.ARGUMENT=VALUE for one of {', '.join(names)}, got {setting!r}")
        try:
            given[probe][argument] = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise UserError(f"--set: cannot read the value of {setting!r}") from error
        check_numbers(given[probe][argument], f"--set {key}")
    return [make_probe(name, f"--probes {name}", given[name]) for name in names]


def _probe(folder: Path, probes: Sequence[Probe], arguments: argparse.Namespace, label: str) -> dict[str, pa.Table]:
    """Probes every run of a job, records the results, and returns the probes' metrics by run id."""
    resolved, configs = read_config(folder, arguments.allow)
    refuse_switches()  # after everything that the user's code could set is imported
    with Records(folder, resolved) as records:
        job = load_job(folder, configs)
        diverged = distributed.fetch(job.states.diverged_at) >= 0
        ids = [None if gone else run_id(config) for config, gone in zip(job.configs, diverged, strict=True)]
        if diverged.any():
            print(visible(f"{diverged.sum()} of {len(diverged)} runs diverged and are not probed: {folder}"))
        if diverged.all():
            return {}
        found: list[tables.Tables] = []
        console = Console(file=sys.stderr)
        model, tasks = job.program.builder.template, job.program.tasks
        for probe in track(
            probes, escape(visible(label)), console=console, transient=True, disable=not console.is_terminal
        ):
            measured = job.program.measure(probe, job.states, arguments.size)
            found.append(tables.probe_tables(probe, measured, model, tasks, ids, job.step))
        written = tables.merged({"metrics": SCHEMAS["metrics"].empty_table()}, *found)
        metrics = written.pop("metrics")  # not recorded: keep those from training
        records.write_probed(written)
    if written:
        print(visible(f"written: {', '.join(written)} of {folder}"), file=sys.stderr)
    return {run: metrics.filter(pc.field("run_id") == run) for run in ids if run is not None}


def _show(metrics: dict[str, pa.Table], probes: Sequence[Probe], labels: pd.DataFrame) -> None:
    """Prints a table of the probes' headlines, one row per run."""
    meanings = {name: meaning for probe in probes for name, meaning in probe.headlines.items()}
    table = terminal.table("", "seed", *(name.replace("_", " ") for name in meanings))
    for run, rows in list(metrics.items())[:MAX_SHOWN]:
        numbers = dict(zip(rows["metric"].to_pylist(), rows["value"].to_pylist(), strict=True))
        texts = [f"{numbers[name]:.3g}" if name in numbers else "-" for name in meanings]
        label = labels.loc[run]
        table.add_row(Text(f"{label['panel']}: {label['line']}", style="bold"), Text(str(label["seed"])), *texts)
    console = terminal.console()
    console.print(table)
    if len(metrics) > MAX_SHOWN:
        console.print(f"and {len(metrics) - MAX_SHOWN} more")
    for name, meaning in meanings.items():
        console.print(Text(f"{name.replace('_', ' ')}: {meaning}", style="dim"), soft_wrap=True)
