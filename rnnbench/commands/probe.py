"""`rnnbench probe RUN`: what a trained model does inside, from its checkpoint: gates, Jacobians, memory."""

import argparse
import functools
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pyarrow as pa
import yaml
from jaxtyping import Bool, Float, PyTree
from omegaconf import OmegaConf
from rich.console import Console
from rich.progress import track
from rich.text import Text

from rnnbench import probes
from rnnbench.analysis.settings import label_runs
from rnnbench.analysis.tables import load_runs
from rnnbench.cells import Deferred, GatedCell, sigmoid
from rnnbench.commands import terminal
from rnnbench.config.identity import run_id
from rnnbench.config.parse import parse_members
from rnnbench.config.schema import Config
from rnnbench.errors import UserError
from rnnbench.model import state_names
from rnnbench.records.folders import job_folders
from rnnbench.records.schemas import as_table
from rnnbench.records.writer import Records
from rnnbench.tasks.base import Example
from rnnbench.training import program as population
from rnnbench.training.checkpoints import Checkpoints
from rnnbench.training.devices import use_compilation_cache, use_devices
from rnnbench.training.program import RUNS_ONCE, Program
from rnnbench.training.tables import trace_parts

SEQUENCES = 8
"""Sequences of the probe batch along which Jacobians are taken."""

EXPONENTS = 64
"""The most Lyapunov exponents that are computed."""

MAX_SHOWN = 24


def main(argv: Sequence[str] | None = None) -> int:
    """Probes the runs in a folder; the exit code.

    Args:
        argv: the command line behind `probe`.

    Raises:
        UserError: there is no run with a checkpoint, or what was asked for does not fit.
    """
    parser = argparse.ArgumentParser(
        prog="rnnbench probe",
        description="Measures trained models from their checkpoints, and records it beside their other results: the "
        "gates (mean, saturation, time constant, per unit and time step; word by word where the task has sentences), "
        "singular values of the Jacobian over some lags, Lyapunov exponents, spectral radii, and how well the first "
        "input can be read off the state.",
    )
    parser.add_argument("folder", metavar="RUN", type=Path, help="the folder of one job, or one above several")
    size = functools.partial(_number, 3)
    parser.add_argument("--size", type=size, default=256, help="examples in the probe batch (default: %(default)s)")
    parser.add_argument(
        "--lags",
        type=_lags,
        metavar="K,...",
        help="steps between the two ends of a Jacobian (default: 1, 2, 4, ... up to the answer)",
    )
    arguments = parser.parse_args(argv)
    if not arguments.folder.is_dir():
        raise UserError(f"{arguments.folder}: there is no such folder; expected one that rnnbench wrote")
    folders = sorted(job_folders(arguments.folder))
    probed = [folder for folder in folders if any((folder / "checkpoints").glob("*"))]
    if not probed:
        raise UserError(f"{arguments.folder}: no run with a checkpoint in it or below it; only such can be probed")
    names = label_runs(load_runs(arguments.folder)).set_index("run_id")
    use_compilation_cache()
    use_devices(None)
    rows: dict[str, list[str]] = {}
    try:
        for number, folder in enumerate(probed, 1):
            rows |= _probe(folder, arguments.size, arguments.lags, f"{number}/{len(probed)} {folder.name}")
    finally:
        if rows:
            _show(rows, names)
    if not rows:
        raise UserError(f"{arguments.folder}: every run with a checkpoint diverged; expected one that did not")
    if len(folders) > len(probed):
        print(f"{len(folders) - len(probed)} jobs without a checkpoint were left out")
    return 0


def _number(least: int, text: str) -> int:
    try:
        number = int(text)
    except ValueError:
        number = least - 1
    if number < least:
        raise argparse.ArgumentTypeError(f"expected a whole number, {least} or more, got {text!r}")
    return number


def _lags(text: str) -> list[int]:
    return [_number(1, part) for part in text.split(",")]


def _configs(path: Path) -> tuple[dict[str, Any], list[Config]]:
    """A job's configuration as it is recorded, and that of each run."""
    try:
        resolved = yaml.safe_load(path.read_text())
    except (OSError, yaml.YAMLError) as error:
        raise UserError(f"{path}: expected the configuration that rnnbench wrote, got {error}") from error
    if not isinstance(resolved, dict):
        raise UserError(f"{path}: expected the configuration that rnnbench wrote, got {resolved!r}")
    return resolved, parse_members(OmegaConf.create(resolved))


def _probe(folder: Path, size: int, lags: list[int] | None, label: str) -> dict[str, list[str]]:
    """Probes every run of a job and records it; what to show of it by run id."""
    resolved, configs = _configs(folder / "config.yaml")
    with Records(folder, resolved) as records:
        program = population.program(configs)
        checkpoints = Checkpoints(folder / "checkpoints", 0.0)
        try:
            restored = checkpoints.restore(program.abstract_states)
        finally:
            checkpoints.close()
        if restored is None:
            raise UserError(f"{folder}/checkpoints: expected a checkpoint, found none that is whole; train on first")
        step, states = restored
        params, diverged_at = jax.device_get((states.params, states.diverged_at))
        left = [i for i in range(len(configs)) if diverged_at[i] < 0]
        if len(left) < len(configs):
            print(f"{len(configs) - len(left)} of {len(configs)} runs diverged and are not probed: {folder}")
        prober = Prober(program, size, lags)
        tables: dict[str, list[pa.Table]] = {}
        rows = {}
        console = Console(file=sys.stderr)
        for i in track(left, label, console=console, transient=True, disable=not console.is_terminal):
            own = prober.measure(i, jax.tree.map(lambda leaf, i=i: leaf[i], params))
            run = run_id(configs[i])
            for name, parts in own.items():
                columns = ({"run_id": run, "step": step, **part} for part in parts)
                tables.setdefault(name, []).extend(as_table(name, own_columns) for own_columns in columns)
            rows[run] = _numbers(own)
        measured = {name: pa.concat_tables(parts) for name, parts in tables.items() if parts}
        records.replace(measured)
    if measured:
        print(f"written: {', '.join(measured)} of {folder}", file=sys.stderr)
    return rows


def _show(rows: dict[str, list[str]], names: pd.DataFrame) -> None:
    """The table of what was measured, a row a run."""
    table = terminal.table("", "seed", "|dh_T/dh_t|", "Lyapunov", "radius", "memory")
    for run in list(rows)[:MAX_SHOWN]:
        own = names.loc[run]
        table.add_row(Text(f"{own['panel']}: {own['line']}", style="bold"), str(own["seed"]), *rows[run])
    console = terminal.console()
    console.print(table)
    if len(rows) > MAX_SHOWN:
        console.print(f"and {len(rows) - MAX_SHOWN} more")
    console.print(
        Text(
            "\nOf the top layer: the norm of dh_T/dh_t over the longest lag, the largest Lyapunov exponent (1 / step), "
            "the largest spectral radius of a recurrent kernel, and R^2 with which the first input is read off all "
            "states at the answer.",
            style="dim",
        ),
        soft_wrap=True,
    )


class Prober:
    """The probes of one population, compiled once for all its members."""

    def __init__(self, program: Program, size: int, lags: Sequence[int] | None = None):
        """Prepares them.

        Args:
            program: the population's.
            size: examples of the probe batch.
            lags: steps between the two ends of a Jacobian, which ends at the answer; by default powers of two.
        """
        self._program, self._size, self._lags = program, size, lags
        self._batches: dict[int, Example] = {}  # by task: members that share one share its batch
        self._over_batch = jax.jit(self._measure_batch, compiler_options=RUNS_ONCE)
        self._along_sequences = jax.jit(self._measure_sequences, static_argnums=(2, 3), compiler_options=RUNS_ONCE)

    def measure(self, member: int, params: PyTree) -> dict[str, list[dict[str, Any]]]:
        """What one model does inside: parts of the tables `gates`, `gate_traces`, `spectra` and `memory`,
        without run and step.

        Args:
            member: which one of the population.
            params: its parameters.

        Raises:
            UserError: a lag is longer than the sequence.
        """
        task = self._program.tasks[member][0]
        if id(task) not in self._batches:
            self._batches[id(task)] = jax.device_get(task.probe_set(self._size))
        flow, gates, memory, inputs = jax.device_get(self._over_batch(params, self._batches[id(task)]))
        norms = sum(norms for (layer, _), norms in flow.items() if layer == len(inputs) - 1)
        answer = _answer(norms, np.asarray(self._batches[id(task)].mask))
        lags = tuple(self._lags or (2**k for k in range(answer.bit_length())))
        if max(lags) > answer:
            raise UserError(f"--lags: expected 1 to the {answer} steps up to the answer, got {max(lags)}")
        sequences = [np.swapaxes(xs[:answer, :SEQUENCES], 0, 1) for xs in inputs]
        spectra = jax.device_get(self._along_sequences(params, sequences, answer // 4, lags))
        layers = self._program.model(params).layers
        for layer, cell in enumerate(layers):
            radii = probes.spectral_radii(cell)
            spectra |= {(layer, "spectral_radius", gate, 0): np.array([radius]) for gate, radius in radii.items()}
        return {
            "gates": [
                {"layer": layer, "gate": gate, **_statistics(values[:answer], _is_sigmoid(layers[layer], gate))}
                for (layer, gate), values in gates.items()
            ],
            "gate_traces": trace_parts(task, functools.partial(self._program.gates, params)),
            "spectra": [
                {"layer": layer, "kind": kind, "state": state, "lag": lag, "number": np.arange(len(own)), "value": own}
                for (layer, kind, state, lag), own in spectra.items()
            ],
            "memory": [
                {"layer": layer, "state": state, "time": np.arange(answer), "r2": r2[:answer]}
                for (layer, state), r2 in memory.items()
            ],
        }

    def _measure_batch(self, params: PyTree, batch: Example) -> tuple[Any, Any, Any, Any]:
        """Gradient flow, gates, memory, and what every layer sees."""
        model = self._program.model(params)
        inputs = model.layer_inputs(batch.inputs, batch.mask)
        memories = {}
        for layer, (cell, xs) in enumerate(zip(model.layers, inputs, strict=True)):
            names = state_names(cell)
            leaves = jax.tree.leaves(probes.states_over_time(cell, xs, batch.mask.T))
            hidden = _hidden(names)
            memories[layer, hidden] = probes.memory(leaves[names.index(hidden)], inputs[0][0])
            memories[layer, ",".join(names)] = probes.memory(jnp.concatenate(leaves, axis=-1), inputs[0][0])
        return (
            probes.gradient_flow(model, self._program.task, batch),
            probes.gate_values(model, batch.inputs, batch.mask),
            memories,
            inputs,
        )

    def _measure_sequences(
        self, params: PyTree, sequences: list[Any], warmup: int, lags: tuple[int, ...]
    ) -> dict[tuple[int, str, str, int], Any]:
        """By layer, kind, states and lag: medians over sequences of singular values and of exponents."""
        found = {}
        for layer, (cell, xs) in enumerate(zip(self._program.model(params).layers, sequences, strict=True)):
            names = state_names(cell)
            for states in dict.fromkeys([(_hidden(names),), names]):
                for lag in lags:
                    values = jax.vmap(functools.partial(probes.singular_values, cell, lag=lag, states=states))(xs)
                    found[layer, "singular_value", ",".join(states), lag] = jnp.median(values, axis=0)
            exponents = functools.partial(probes.lyapunov_exponents, cell, warmup=warmup, count=EXPONENTS)
            found[layer, "lyapunov_exponent", ",".join(names), 0] = jnp.median(jax.vmap(exponents)(xs), axis=0)
        return found


def _hidden(names: Sequence[str]) -> str:
    """The hidden state; of a foreign cell whose output is none of its states, the first."""
    return "h" if "h" in names else names[0]


def _answer(norms: Float[np.ndarray, "time batch"], mask: Bool[np.ndarray, "batch time"]) -> int:
    """Steps up to the one whose output the loss is of: the last with a gradient, or, where none is left, the last."""
    reached = np.flatnonzero((norms > 0).any(axis=1))
    return int(reached.max()) + 1 if reached.size else int(mask.sum(axis=1).max())


def _is_sigmoid(cell: GatedCell, gate: str) -> bool:
    """Whether a gate is declared to be between 0 and 1."""
    declared = cell.gates[gate]
    return (declared.activation if isinstance(declared, Deferred) else declared) is sigmoid


def _statistics(values: Float[np.ndarray, "time batch hidden"], between_0_and_1: bool) -> dict[str, Any]:
    """Columns of the `gates` table from a gate's values."""
    mean, size = values.mean(1), np.abs(values)
    time, unit = np.indices(mean.shape)
    with np.errstate(divide="ignore"):
        constant = 1 / (1 - mean) if between_0_and_1 else np.full_like(mean, np.nan)
    columns = {"time": time, "unit": unit, "mean": mean, "low": (size < 0.1).mean(1), "high": (size > 0.9).mean(1)}
    return {name: column.ravel() for name, column in {**columns, "time_constant": constant}.items()}


def _numbers(own: dict[str, list[dict[str, Any]]]) -> list[str]:
    """What the table shows of a run: of its top layer."""
    top = [part for part in own["spectra"] if part["layer"] == own["spectra"][-1]["layer"]]
    of_kind = {kind: [part for part in top if part["kind"] == kind] for kind in ("singular_value", "spectral_radius")}
    first = of_kind["singular_value"][0]["state"]
    longest = max((part for part in of_kind["singular_value"] if part["state"] == first), key=lambda part: part["lag"])
    exponent = max(part["value"].max() for part in top if part["kind"] == "lyapunov_exponent")
    radii = [part["value"].max() for part in of_kind["spectral_radius"]]
    return [
        f"{longest['value'].max():.2g} over {longest['lag']}",
        f"{exponent:.3g}",
        f"{max(radii):.2f}" if radii else "-",
        f"{own['memory'][-1]['r2'][-1]:.2f}",
    ]
