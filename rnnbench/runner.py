"""The host's loop: build, then segment by segment train, evaluate, record and checkpoint; resume where it was left."""

import dataclasses
import functools
import os
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from rnnbench import population
from rnnbench.checkpoints import Checkpoints
from rnnbench.config import Config, flatten, identity, instantiate, run_id
from rnnbench.errors import DivergedError, UserError
from rnnbench.evaluation import columns, summary_rows, train_rows
from rnnbench.population import Program
from rnnbench.progress import JobProgress, say
from rnnbench.records import Records, job_folder, read_runs
from rnnbench.training import RunState

Row = dict[str, Any]
COMPLETE = ("finished", "diverged")


def train(config: Config, position: str | None = None) -> Row:
    """Trains one run, or goes on with it, or finds it complete.

    Args:
        config: the run.
        position: what to call its place in a sweep, such as "3/9".

    Returns:
        The run's row of the runs table.

    Raises:
        DivergedError: its loss or gradient became NaN or infinite; what was recorded stays.
        UserError: the config or the output folder does not serve.
    """
    (row,) = train_population([config], position)
    if row["status"] == "diverged":
        raise DivergedError(
            f"run {row['run_id']} diverged: its loss or gradient was not finite at step {row['diverged_at']} of "
            f"{config.train.steps}; what was recorded before is kept in {_folder([config])}. "
            "A lower optimizer.learning_rate or train.clip_norm may help"
        )
    return row


def train_population(configs: Sequence[Config], position: str | None = None) -> list[Row]:
    """Trains runs that differ in their seed alone as one program; their rows of the runs table."""
    config = configs[0]
    folder = _folder(configs)
    label = " ".join(filter(None, [position, f"{config.task['name']} {config.model.name} seed {config.seed}"]))
    if not config.overwrite and (rows := _complete(folder)):
        say(f"{label}  {rows[0]['status']} before: {folder} (overwrite=true trains it again)")
        return rows
    _use_devices(config.devices)
    if config.compilation_cache:
        population.use_compilation_cache()
    population.program(configs)  # first of all, so that a config that cannot be built leaves no folder
    resolved = dataclasses.asdict(config)
    del resolved["overwrite"], resolved["compilation_cache"]
    with Records(folder, resolved, overwrite=config.overwrite) as records:
        if rows := _complete(folder):  # by the process that held the folder until now
            return rows
        return _Job(configs, records, label).run()


def _folder(configs: Sequence[Config]) -> Any:
    config = configs[0]
    return job_folder(config.output, config.task["name"], config.model.name, [run_id(c) for c in configs])


def _complete(folder: Any) -> list[Row]:
    """The job's rows if every run of it is complete and recorded to the end, else none."""
    rows = read_runs(folder)
    complete = all(row["status"] in COMPLETE for row in rows) and (folder / "metrics.parquet").exists()
    return rows if complete else []


def _use_devices(devices: int | None) -> None:
    """Spreads the work over this many CPU devices; None: over all cores, unless JAX is up already."""
    try:
        population.use_cpu_devices(devices or _cores())
    except RuntimeError:  # JAX is up: an earlier run of this process has chosen
        there = jax.local_devices()
        if devices is not None and there[0].platform == "cpu" and len(there) != devices:
            raise UserError(
                f"devices: expected {len(there)}, as in the first run of this process, got {devices}; "
                "the number of devices can't change within a process"
            ) from None


def _cores() -> int:
    """CPU cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):  # Linux, where a scheduler may have given it some of them
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class _Job:
    """A population in training."""

    def __init__(self, configs: Sequence[Config], records: Records, label: str):
        self.configs, self.records, self.label = configs, records, label
        self.config = configs[0]
        self.steps = self.config.train.steps
        self.program: Program = population.program(configs)
        self.checkpoints = Checkpoints(records.folder / "checkpoints", self.config.train.checkpoint_seconds)
        self.loggers = [None if c.logger is None else instantiate(c.logger, "logger") for c in configs]

    def run(self) -> list[Row]:
        """Trains to the end; the runs' rows."""
        try:
            return self._run()
        finally:
            self.checkpoints.close()

    def _run(self) -> list[Row]:
        rows_before = read_runs(self.records.folder)
        restored = self.checkpoints.restore(self.program.abstract_states)
        step, states = (0, self._first_states()) if restored is None else restored
        self.records.rewind(step if restored else None)
        self.records.start_session(step, devices=[device.device_kind for device in self.program.mesh.devices])
        self.rows = self._first_rows(rows_before if restored else [], step, states)
        for config, row, logger in zip(self.configs, self.rows, self.loggers, strict=True):
            if logger is not None:
                name = f"{config.task['name']}-{config.model.name}-seed{config.seed}"
                logger.start(row["run_id"], name, identity(config), self.records.folder, step)

        with JobProgress(self.label, self.steps, step) as progress:
            if restored is None:
                self._record(0, states, {})
            while step < self.steps and not self._all_diverged():
                first = step + 1
                step = min(step + self.config.train.eval_every, self.steps)
                states, scalars = self.program.segment(states)
                scalars = jax.device_get(scalars)
                self._record(step, states, scalars, first)
                self.checkpoints.save(step, states)
                progress.update(step, self._numbers(scalars))
            self._finish(step, states)
            progress.close(self.rows[0]["step"], self.rows[0]["status"], self._numbers({}))
        return self.rows

    def _first_states(self) -> RunState:
        return self.program.place([self.program.init(np.uint32(config.seed)) for config in self.configs])

    def _first_rows(self, before: list[Row], step: int, states: RunState) -> list[Row]:
        """Rows of the runs table, with what of an interrupted session still holds at `step`."""
        task = self.program.task
        rows = []
        for i, (config, at) in enumerate(zip(self.configs, jax.device_get(states.diverged_at).tolist(), strict=True)):
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
        diverged_at = jax.device_get(states.diverged_at)
        tests = self.program.evaluate(states.params)
        flow = jax.device_get(self.program.gradient_flow(states.params)) if self.config.probe.gradient_flow else {}
        tables: dict[str, list[Row]] = {"metrics": [], "scores": [], "gradient_flow": []}
        news: list[tuple[int, int, dict[str, list[Row]]]] = []
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
                summary, scores = summary_rows(
                    self.program.task, self.program.test_set, {name: values[i] for name, values in tests.items()}
                )
                own["metrics"] += [
                    {"step": step, "split": "test", "metric": metric, "value": value}
                    for metric, value in summary.items()
                ]
                own["scores"] += [{"step": step, **score} for score in scores]
                own["gradient_flow"] += [
                    {"step": step, "layer": layer, "state": state, "time": t, "norm": float(norm)}
                    for (layer, state), norms in flow.items()
                    for t, norm in enumerate(norms[i])
                ]
                finals |= {f"final.{metric}": value for metric, value in summary.items()}
                if row["solved_at"] is None and self.program.task.solved(summary):
                    row["solved_at"] = step
            row["step"] = done
            row |= dict(sorted(finals.items()))
            for name, rows in own.items():
                tables[name] += [{"run_id": row["run_id"], **values} for values in rows]
            news.append((i, done, own))
        self.records.write(step, {name: columns(rows) for name, rows in tables.items() if rows})
        self.records.set_runs(self.rows)
        for of_run in news:
            self._log(*of_run)

    def _log(self, i: int, step: int, tables: dict[str, list[Row]]) -> None:
        logger = self.loggers[i]
        if logger is not None:
            logger.write(step, {name: columns(rows) for name, rows in tables.items() if rows})

    def _all_diverged(self) -> bool:
        return all(row["diverged_at"] is not None for row in self.rows)

    def _finish(self, step: int, states: RunState) -> None:
        """The last checkpoint, what is shown to readers, and the statuses."""
        showcase = []
        for i, row in enumerate(self.rows):
            if row["diverged_at"] is None:
                params = jax.tree.map(lambda leaf, i=i: leaf[i], jax.device_get(states.params))
                shown = self.program.task.showcase(functools.partial(self.program.predict, params))
                showcase += [{"run_id": row["run_id"], "step": step, **one} for one in shown]
                row["status"] = "finished"
        if showcase:
            self.records.write(step, {"showcase": columns(showcase)})
        self.checkpoints.save(step, states, force=True)
        self.records.finish(self.rows)
        for row, logger in zip(self.rows, self.loggers, strict=True):
            if logger is not None:
                logger.finish(row["status"])

    def _numbers(self, scalars: dict[str, np.ndarray]) -> dict[str, float]:
        """The few numbers that the progress shows: medians over the runs."""
        score = self.program.task.score
        numbers = {
            "loss": [row.get("final.train.loss", np.nan) for row in self.rows],
            f"test {score}": [row.get(f"final.{score}", np.nan) for row in self.rows],
        }
        if "grad_norm" in scalars:
            numbers["|gradient|"] = list(scalars["grad_norm"][:, -1])
        return {name: float(np.median(values)) for name, values in numbers.items()}
