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
import yaml
from jaxtyping import Float, PyTree
from omegaconf import OmegaConf
from rich import box
from rich.console import Console
from rich.progress import track
from rich.table import Table
from rich.text import Text

from rnnbench import population, probes
from rnnbench.checkpoints import Checkpoints
from rnnbench.comparison import cell_label
from rnnbench.config import Config, parse_members, run_id
from rnnbench.errors import UserError
from rnnbench.evaluation import concatenated, trace_parts
from rnnbench.model import state_names
from rnnbench.population import RUNS_ONCE, Program
from rnnbench.records import Records, job_folders, read_runs
from rnnbench.runner import use_devices
from rnnbench.tasks.base import Example

SEQUENCES = 8
"""Sequences of the probe batch along which Jacobians are taken."""

EXPONENTS = 64
"""The most Lyapunov exponents that are computed."""

_MOST_SHOWN = 24


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
    parser.add_argument(
        "--size", type=_positive, default=256, help="examples in the probe batch (default: %(default)s)"
    )
    parser.add_argument(
        "--lags",
        type=lambda text: [_positive(part) for part in text.split(",")],
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
    console = Console(file=sys.stdout, highlight=False)
    shown = _table()
    for number, folder in enumerate(probed, 1):
        for row in _probe(folder, arguments.size, arguments.lags, f"{number}/{len(probed)} {folder.name}"):
            if shown.row_count < _MOST_SHOWN:
                shown.add_row(*row)
    console.print(shown)
    console.print(
        Text(
            "\nOf the top layer: the norm of dh_T/dh_t over the longest lag, the largest Lyapunov exponent (1 / step), "
            "the largest spectral radius of a recurrent kernel, and R^2 with which the first input is read off all "
            "states at the answer.",
            style="dim",
        ),
        soft_wrap=True,
    )
    if len(folders) > len(probed):
        console.print(f"{len(folders) - len(probed)} jobs without a checkpoint were left out")
    return 0


def _positive(text: str) -> int:
    if not text.strip().isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number above 0, got {text!r}")
    return int(text)


def _probe(folder: Path, size: int, lags: list[int] | None, label: str) -> list[list[Text | str]]:
    """Probes every run of a job and records it; the rows of the table shown."""
    resolved: dict[str, Any] = yaml.safe_load((folder / "config.yaml").read_text())
    configs = parse_members(OmegaConf.create(resolved))
    use_devices(configs[0].devices)
    population.use_compilation_cache()
    with Records(folder, resolved) as records:
        program = population.program(configs)
        checkpoints = Checkpoints(folder / "checkpoints", 0.0)
        try:
            restored = checkpoints.restore(program.abstract_states)
        finally:
            checkpoints.close()
        assert restored is not None, folder
        step, states = restored
        params = jax.device_get(states.params)
        statuses = {row["run_id"]: row["status"] for row in read_runs(folder)}
        left = [i for i, config in enumerate(configs) if statuses.get(run_id(config)) != "diverged"]
        prober = Prober(program, size, lags)
        tables: dict[str, list[dict[str, Any]]] = {}
        rows = []
        console = Console(file=sys.stderr)
        for i in track(left, label, console=console, transient=True, disable=not console.is_terminal):
            own = prober.measure(i, jax.tree.map(lambda leaf, i=i: leaf[i], params))
            for name, parts in own.items():
                tables.setdefault(name, []).extend({"run_id": run_id(configs[i]), "step": step, **p} for p in parts)
            rows.append(_summary(configs[i], own))
        measured = {name: concatenated(parts) for name, parts in tables.items() if parts}
        records.replace(measured)
    print(f"written: {', '.join(measured)} of {folder}", file=sys.stderr)
    return rows


class Prober:
    """The probes of one population, compiled once for all its members."""

    def __init__(self, program: Program, size: int = 256, lags: Sequence[int] | None = None):
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
        norms = flow[len(inputs) - 1, "h"].mean(-1)
        answer = int(np.flatnonzero(norms > 0).max(initial=0)) + 1
        lags = tuple(self._lags or (2**k for k in range(answer.bit_length())))
        if max(lags) > answer:
            raise UserError(f"--lags: expected 1 to the {answer} steps up to the answer, got {max(lags)}")
        sequences = [np.swapaxes(xs[:answer, :SEQUENCES], 0, 1) for xs in inputs]
        spectra = jax.device_get(self._along_sequences(params, sequences, answer // 4, lags))
        for layer, cell in enumerate(self._program.model(params).layers):
            radii = probes.spectral_radii(cell)
            spectra |= {(layer, "spectral_radius", gate, 0): np.array([radius]) for gate, radius in radii.items()}
        return {
            "gates": [
                {"layer": layer, "gate": gate, **_statistics(values[:answer])}
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
            memories[layer, "h"] = probes.memory(leaves[names.index("h")], inputs[0][0])
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
        """By layer, kind, states and lag: geometric means of singular values, means of exponents, over sequences."""
        found = {}
        for layer, (cell, xs) in enumerate(zip(self._program.model(params).layers, sequences, strict=True)):
            names = state_names(cell)
            for states in dict.fromkeys([("h",), names]):
                for lag in lags:
                    values = jax.vmap(functools.partial(probes.singular_values, cell, lag=lag, states=states))(xs)
                    mean = jnp.exp(jnp.mean(jnp.log(jnp.maximum(values, jnp.finfo(values.dtype).tiny)), axis=0))
                    found[layer, "singular_value", ",".join(states), lag] = mean
            exponents = functools.partial(probes.lyapunov_exponents, cell, warmup=warmup, count=EXPONENTS)
            found[layer, "lyapunov_exponent", ",".join(names), 0] = jnp.mean(jax.vmap(exponents)(xs), axis=0)
        return found


def _statistics(values: Float[np.ndarray, "time batch hidden"]) -> dict[str, Any]:
    """Columns of the `gates` table from a gate's values `(time, batch, hidden)`."""
    mean, size = values.mean(1), np.abs(values)
    time, unit = np.indices(mean.shape)
    between = values.min() >= 0 and values.max() <= 1
    with np.errstate(divide="ignore"):
        constant = 1 / (1 - mean) if between else np.full_like(mean, np.nan)
    columns = {"time": time, "unit": unit, "mean": mean, "low": (size < 0.1).mean(1), "high": (size > 0.9).mean(1)}
    return {name: column.ravel() for name, column in {**columns, "time_constant": constant}.items()}


def _table() -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
    table.add_column("")
    for heading in ("seed", "|dh_T/dh_t|", "Lyapunov", "radius", "memory"):
        table.add_column(heading, justify="right")
    return table


def _summary(config: Config, own: dict[str, list[dict[str, Any]]]) -> list[Text | str]:
    """A row of the table shown: of the top layer, and of its hidden state."""
    top = [part for part in own["spectra"] if part["layer"] == config.model.num_layers - 1]
    longest = max((part for part in top if part["kind"] == "singular_value" and part["state"] == "h"), key=_lag)
    exponent = max(part["value"].max() for part in top if part["kind"] == "lyapunov_exponent")
    radius = max((part["value"].max() for part in top if part["kind"] == "spectral_radius"), default=np.nan)
    return [
        Text(f"{config.task['name']} {cell_label(config.model.name)}", style="bold"),
        str(config.seed),
        f"{longest['value'].max():.2g} over {longest['lag']}",
        f"{exponent:.3g}",
        f"{radius:.2f}",
        f"{own['memory'][-1]['r2'][-1]:.2f}",
    ]


def _lag(part: dict[str, Any]) -> int:
    return part["lag"]
