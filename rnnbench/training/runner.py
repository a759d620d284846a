"""The host's loop: build, then segment by segment train, evaluate, record and checkpoint; resume where it was left."""

import collections
import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from rnnbench.config.identity import flatten, identity, recorded, run_id
from rnnbench.config.schema import Config
from rnnbench.errors import DivergedError
from rnnbench.loggers.population import feeds
from rnnbench.records.folders import job_folder
from rnnbench.records.reader import is_complete, read_runs
from rnnbench.records.writer import Records, Unrecorded
from rnnbench.training import distributed
from rnnbench.training import program as population
from rnnbench.training.checkpoints import Checkpoints
from rnnbench.training.devices import use_compilation_cache, use_devices
from rnnbench.training.program import Program
from rnnbench.training.progress import JobProgress, say
from rnnbench.training.step import RunState
from rnnbench.training.switches import refuse_switches
from rnnbench.training.tables import (
    columns,
    concatenated,
    decay_metrics,
    flow_rows,
    summary_rows,
    trace_parts,
    train_rows,
)

Row = dict[str, Any]


def train(*configs: Config) -> list[Row]:
    """Trains a population as one program, or goes on with it, or finds it complete.

    Args:
        configs: its runs; they differ in foldable numbers alone.

    Returns:
        The runs' rows of the runs table.

    Raises:
        DivergedError: the loss or gradient of some run became NaN or infinite; what was recorded stays, and the other
            runs are trained to their end.
        UserError: the config or the output folder does not serve.
    """
    rows = _train(configs)
    if diverged := [row for row in rows if row["status"] == "diverged"]:
        steps, folder = configs[0].train.steps, _folder(configs)
        which = (
            f"run {diverged[0]['run_id']} diverged: its"
            if len(rows) == 1
            else (f"{len(diverged)} of {len(rows)} runs diverged, among them {diverged[0]['run_id']}: its")
        )
        raise DivergedError(
            f"{which} loss or gradient was not finite at step {diverged[0]['diverged_at']} of {steps}; what was "
            f"recorded before is kept in {folder}. A lower optimizer.learning_rate or train.clip_norm may help"
        )
    return rows


def _train(configs: Sequence[Config]) -> list[Row]:
    refuse_switches()
    config = configs[0]
    folder = _folder(configs)
    of_what = f"seed {config.seed}" if len(configs) == 1 else f"{len(configs)} runs"
    label = " ".join(filter(None, [config.population.place, config.task["name"], config.model.name, of_what]))
    use_devices(config.devices)
    distributed.connect(config.distributed)
    if not config.overwrite and (rows := distributed.lead(lambda: _complete(folder))):
        statuses = "/".join(sorted({row["status"] for row in rows}))
        if distributed.is_leader():
            say(f"{label}  {statuses} before: {folder} (overwrite=true trains again)")
        return rows
    if config.compilation_cache:
        use_compilation_cache()
    _ = population.program(configs).segment  # first of all, so that a config that cannot be built leaves no folder
    with _records(folder, config) as records:
        if rows := distributed.lead(lambda: _complete(folder)):  # by the process that held the folder until now
            return rows
        return _Job(configs, records, label).run()


def _records(folder: Path, config: Config) -> Records | Unrecorded:
    """The job's folder, of which the leader takes hold."""
    held: list[Records] = []
    distributed.lead(lambda: held.append(Records(folder, recorded(config), overwrite=config.overwrite)))
    return held[0] if held else Unrecorded(folder)


def _folder(configs: Sequence[Config]) -> Path:
    config = configs[0]
    return job_folder(config.output, config.task["name"], config.model.name, [run_id(c) for c in configs])


def _complete(folder: Path) -> list[Row]:
    """The job's rows if every run of it is complete and recorded to the end, else none."""
    rows = read_runs(folder)
    return rows if is_complete(folder, rows) else []


class _Job:
    """A population in training."""

    def __init__(self, configs: Sequence[Config], records: Records | Unrecorded, label: str):
        self.configs, self.records, self.label = configs, records, label
        self.config = configs[0]
        self.steps = self.config.train.steps
        self.program: Program = population.program(configs)
        self.checkpoints = Checkpoints(records.folder / "checkpoints", self.config.train.checkpoint_seconds)
        self.feeds = feeds(configs) if distributed.is_leader() else []
        self.half_lives = [float("nan")] * len(configs)

    def run(self) -> list[Row]:
        """Trains to the end; the runs' rows."""
        try:
            return self._run()
        finally:
            self.checkpoints.close()

    def _run(self) -> list[Row]:
        rows_before = distributed.lead(lambda: read_runs(self.records.folder))
        restored = self.checkpoints.restore(self.program.abstract_states)
        step, states = (0, self._first_states()) if restored is None else restored
        self.records.rewind(step if restored else None)
        self.records.start_session(step, devices=[device.device_kind for device in self.program.mesh.devices])
        self.rows = self._first_rows(rows_before if restored else [], step, states)
        for feed in self.feeds:
            feed.start(self.records.folder, step)

        if len(self.configs) > 1 and distributed.is_leader():
            say(f"{self.label} in one program, {self.program.megabytes:.0f} MB")
        with JobProgress(self.label, self.steps, step, silent=not distributed.is_leader()) as progress:
            if restored is None:
                self._record(0, states, {})
            while step < self.steps and not self._at_an_end():
                first = step + 1
                step = min(step + self.config.train.eval_every, self.steps)
                states, scalars = self.program.segment(states)
                scalars = distributed.fetch(scalars)
                self._record(step, states, scalars, first)
                self.checkpoints.save(step, states)
                progress.update(step, self._numbers(scalars))
            self._finish(step, states)
            progress.close(max(row["step"] for row in self.rows), self._statuses(), self._numbers({}))
        return self.rows

    def _first_states(self) -> RunState:
        return self.program.place([self.program.init(config) for config in self.configs])

    def _first_rows(self, before: list[Row], step: int, states: RunState) -> list[Row]:
        """Rows of the runs table, with what of an interrupted session still holds at `step`."""
        rows = []
        for i, (config, at) in enumerate(
            zip(self.configs, distributed.fetch(states.diverged_at).tolist(), strict=True)
        ):
            task = self.program.tasks[i][0]
            earlier = before[i] if before else {}
            solved_at = earlier.get("solved_at")
            rows.append(
                {
                    "run_id": run_id(config),
                    "status": "running" if at < 0 else "diverged",
                    "step": step if at < 0 else at,
                    "solved_at": solved_at if solved_at is not None and solved_at <= step else None,
                    "diverged_at": None if at < 0 else at,
                    "score": task.score,
                    "score_goal": task.score_goal,
                    **flatten(identity(config)),
                    **{f"chance.{name}": value for name, value in task.chance().items()},
                    # Of the last evaluation: where training goes on, the next one replaces them.
                    **{key: value for key, value in earlier.items() if key.startswith("final.") and value is not None},
                }
            )
        return rows

    def _record(self, step: int, states: RunState, scalars: dict[str, np.ndarray], first: int = 1) -> None:
        """Evaluates, and records the segment that ended at `step`."""
        diverged_at = distributed.fetch(states.diverged_at)
        tests = self.program.evaluate(states.params)
        flow = self.program.gradient_flow(states.params) if "gradient_flow" in self.config.probe.at_evaluation else {}
        tables: dict[str, list[Row]] = {"metrics": [], "scores": [], "gradient_flow": []}
        news: list[dict[str, list[Row]] | None] = [None] * len(self.rows)
        for i, row in enumerate(self.rows):
            if row["diverged_at"] is not None:
                continue
            if diverged_at[i] >= 0:
                row["diverged_at"], row["status"] = int(diverged_at[i]), "diverged"
            done = min(step, row["diverged_at"] or step)
            own: dict[str, list[Row]] = {name: [] for name in tables}
            finals = {name: row.pop(name) for name in list(row) if name.startswith("final.")}
            steps = {name: values[i] for name, values in scalars.items()}
            for at, metric, value in train_rows(steps, first, done, self.config.train.log_every):
                own["metrics"].append({"step": at, "split": "train", "metric": metric, "value": value})
                if metric == "loss":
                    finals["final.train.loss"] = value
            if row["diverged_at"] is None:
                task, test_set, _ = self.program.tasks[i]
                summary, scores = summary_rows(task, test_set, {name: values[i] for name, values in tests.items()})
                own["metrics"] += [
                    {"step": step, "split": "test", "metric": metric, "value": value}
                    for metric, value in summary.items()
                ]
                own["scores"] += [{"step": step, **score} for score in scores]
                own_flow = {name: norms[i] for name, norms in flow.items()}
                own["gradient_flow"] += [{"step": step, **values} for values in flow_rows(own_flow)]
                decays = decay_metrics(own_flow)
                own["metrics"] += [
                    {"step": step, "split": "probe", "metric": metric, "value": value}
                    for metric, value in decays.items()
                    if np.isfinite(value)
                ]
                self.half_lives[i] = decays.get(f"half_life.{self.config.model.num_layers - 1}.h", np.nan)
                finals |= {f"final.{metric}": value for metric, value in summary.items()}
                if row["solved_at"] is None and task.solved(summary):
                    row["solved_at"] = step
            row["step"] = done
            row |= dict(sorted(finals.items()))
            for name, rows in own.items():
                tables[name] += [{"run_id": row["run_id"], **values} for values in rows]
            news[i] = own
        self.records.write(step, {name: columns(rows) for name, rows in tables.items() if rows})
        self.records.set_runs(self.rows)
        for feed in self.feeds:
            feed.write(step, news)

    def _at_an_end(self) -> bool:
        """Whether no run has anything left to learn."""
        stop = self.config.train.stop_when_solved
        return all(row["diverged_at"] is not None or (stop and row["solved_at"] is not None) for row in self.rows)

    def _statuses(self) -> str:
        """`finished`, or `30 finished, 2 diverged`."""
        counts = collections.Counter(row["status"] for row in self.rows)
        if len(counts) == 1:
            return next(iter(counts))
        return ", ".join(f"{count} {status}" for status, count in sorted(counts.items(), reverse=True))

    def _finish(self, step: int, states: RunState) -> None:
        """The last checkpoint, what is shown to readers, and the statuses."""
        showcase, traces = [], []
        whole = distributed.fetch(states.params)
        for i, row in enumerate(self.rows):
            if row["diverged_at"] is None:
                params = jax.tree.map(lambda leaf, i=i: leaf[i], whole)
                shown = self.program.tasks[i][0].showcase(functools.partial(self.program.predict, params))
                showcase += [{"run_id": row["run_id"], "step": step, **one} for one in shown]
                if "gate_traces" in self.config.probe.at_end:
                    gates = functools.partial(self.program.gates, params)
                    parts = trace_parts(self.program.tasks[i][0], gates)
                    traces += [{"run_id": row["run_id"], "step": step, **part} for part in parts]
                row["status"] = "finished"
        if showcase:
            self.records.write(step, {"showcase": columns(showcase)})
        if traces:
            self.records.write(step, {"gate_traces": concatenated(traces)})
        self.checkpoints.save(step, states, force=True)
        self.records.finish(self.rows)
        for feed in self.feeds:
            feed.finish([row["status"] for row in self.rows])

    def _numbers(self, scalars: dict[str, np.ndarray]) -> dict[str, float]:
        """The few numbers that the progress shows: medians over the runs."""
        score = self.program.task.score
        numbers = {
            "loss": [row.get("final.train.loss", np.nan) for row in self.rows],
            f"test {score}": [row.get(f"final.{score}", np.nan) for row in self.rows],
        }
        if "grad_norm" in scalars:
            numbers["|gradient|"] = list(scalars["grad_norm"][:, -1])
        if "gradient_flow" in self.config.probe.at_evaluation:
            numbers["half-life"] = self.half_lives
        return {name: float(np.median(values)) for name, values in numbers.items()}
