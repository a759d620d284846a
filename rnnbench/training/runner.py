"""The host's loop: for each segment, train, evaluate, record and checkpoint; resume where training stopped."""

import functools
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pyarrow as pa
import yaml

from rnnbench.config.identity import recorded, run_id
from rnnbench.config.messages import stopped_by
from rnnbench.config.schema import Config
from rnnbench.errors import DamagedError, DivergedError, UserError
from rnnbench.loggers.population import PopulationLogger
from rnnbench.probes.base import Probe
from rnnbench.probes.finding import make_probe
from rnnbench.records import lengths
from rnnbench.records.damage import tell
from rnnbench.records.files import read_whole
from rnnbench.records.folders import RUNS, job_folder
from rnnbench.records.reader import is_complete, read_runs, runs_table, table_names
from rnnbench.records.reader import lost as lost_records
from rnnbench.records.schemas import SCHEMAS
from rnnbench.records.writer import Records, Unrecorded
from rnnbench.tasks.sentences import SentenceTask
from rnnbench.training import distributed, program, tables
from rnnbench.training.checkpoints import Checkpoints, refuse_folder
from rnnbench.training.devices import start_devices, use_compilation_cache, use_devices
from rnnbench.training.progress import JobProgress, say
from rnnbench.training.runs_table import Row, RunsTable
from rnnbench.training.step import RunState
from rnnbench.training.stopping import Stopping
from rnnbench.training.switches import refuse_switches


def train(*configs: Config) -> list[Row]:
    """Trains a population as one program. Resumes it if it was interrupted or trained for fewer steps before.

    A population that is complete, or was trained for more steps, is not trained.

    Args:
        configs: the runs' configurations; they differ only in foldable numbers.

    Returns:
        The runs' rows of the runs table, as of the step up to which they were to be trained.

    Raises:
        DivergedError: the loss or gradient of a run became NaN or infinite. What was recorded is kept, and the other
            runs are trained to the end.
        UserError: the configuration or the output folder cannot be used.
    """
    rows = _train(configs)
    if diverged := [row for row in rows if row["status"] == "diverged"]:
        steps, folder = configs[0].train.steps, _folder(configs)
        which = (
            f"run {diverged[0]['run_id']} diverged: its"
            if len(rows) == 1
            else f"{len(diverged)} of {len(rows)} runs diverged, among them {diverged[0]['run_id']}: its"
        )
        raise DivergedError(
            f"{which} loss, gradient or parameters were not finite at step {diverged[0]['diverged_at']} of {steps}; "
            f"what was recorded before is kept in {folder}. A lower optimizer.learning_rate or train.clip_norm may help"
        )
    return rows


def _train(configs: Sequence[Config]) -> list[Row]:
    config = configs[0]
    folder = _folder(configs)
    of_what = f"seed {config.seed}" if len(configs) == 1 else f"{len(configs)} runs"
    options = [str(node.get("name", "")) for node in (config.init, config.schedule) if node is not None]
    label = " ".join(filter(None, [config.population.place, config.task["name"], config.model.name, *options, of_what]))
    refuse_switches()
    refuse_folder(folder)
    use_devices(config.devices)
    distributed.connect(config.distributed)
    if not config.overwrite and (rows := distributed.lead(lambda: _done(folder, config.train.steps, label))):
        if distributed.is_leader():
            _say_unmeasured(folder, config, label)
        return rows
    start_devices()
    if config.compilation_cache:
        use_compilation_cache()
    # Before the folder is taken, so that a config that cannot be built creates no folder.
    session = Session(configs, label)
    with _records(folder, config) as records:
        # Another process may have finished it while this one compiled.
        if rows := distributed.lead(lambda: _done(folder, config.train.steps, label)):
            return rows
        try:
            return session.run(records)
        except Exception as error:
            if "FloatingPointError" not in type(error).__name__:  # JAX's own kind of it is private
                raise
            raise UserError(
                f"{label}: JAX_DEBUG_NANS or JAX_DEBUG_INFS stopped it at a number that is not finite; unset both to "
                f"record that it diverged: {stopped_by(error)}"
            ) from error


def _records(folder: Path, config: Config) -> Records | Unrecorded:
    """Returns the owner of the job's folder in the leader, and a stand-in elsewhere."""
    held: list[Records] = []
    distributed.lead(lambda: held.append(Records(folder, recorded(config), overwrite=config.overwrite)))
    return held[0] if held else Unrecorded(folder)


def _folder(configs: Sequence[Config]) -> Path:
    config = configs[0]
    return job_folder(config.output, config.task["name"], config.model.name, [run_id(c) for c in configs])


def _say_unmeasured(folder: Path, config: Config, label: str) -> None:
    """Says which of the probes at the end a finished job does not have: they are measured only as training ends."""
    probes = _probes(config.probe.at_end, "probe.at_end")
    try:
        before = yaml.safe_load(read_whole(folder / "config.yaml"))["probe"]
    except (OSError, UserError):  # the records are read nevertheless
        return
    asked, there = {*before["at_end"], *before["at_evaluation"]}, {*table_names(folder)}
    missing = [
        name
        for name, probe in zip(config.probe.at_end, probes, strict=True)
        if name not in asked and {*probe.tables} - there
    ]
    if missing:
        say(
            f"{label}  training has ended, so {', '.join(missing)} is not measured; "
            f"rnnbench probe {shlex.quote(str(folder))} --probes {','.join(missing)} measures it"
        )


def _done(folder: Path, steps: int, label: str) -> list[Row]:
    """Returns the job's rows as of a step, and says so, if there is nothing to train up to there; otherwise none."""
    try:
        runs = runs_table(folder)
    except DamagedError as error:
        tell(str(error))
        return []
    rows = runs.to_pylist()
    if not lengths.is_done(folder, rows, is_complete(folder, runs), steps):
        return []
    longest = lengths.asked(rows)
    found = lengths.as_of(folder, rows, steps) if steps < longest else rows
    statuses = "/".join(sorted({row["status"] for row in found}))
    where = f"at step {lengths.reached(found)}, read off a training of {longest} steps" if steps < longest else "before"
    say(f"{label}  {statuses} {where}: {folder} (overwrite=true trains again)")
    return found


class Session:
    """One session of a population's training: from its start or last checkpoint until it ends or is killed."""

    def __init__(self, configs: Sequence[Config], label: str):
        """Compiles the program.

        Args:
            configs: the members' configurations.
            label: the name of the job in what is printed.

        Raises:
            UserError: the objects in the configuration cannot be built, or do not fit together.
        """
        self.configs, self.label = configs, label
        self.config = configs[0]
        self.at_evaluation = _probes(self.config.probe.at_evaluation, "probe.at_evaluation")
        measured = {type(probe) for probe in self.at_evaluation}  # the last evaluation is at the end
        self.at_end = [p for p in _probes(self.config.probe.at_end, "probe.at_end") if type(p) not in measured]
        self.logger = PopulationLogger(configs if distributed.is_leader() else [])
        self.program = program.program(configs)
        self.program.compile()
        score = self.program.tasks[0].score
        self.shown_at_end = {"loss": ("train", "loss"), f"test {score}": ("test", score)}
        self.shown = {
            **self.shown_at_end,
            "|gradient|": ("train", "grad_norm"),
            **{name.replace("_", " "): ("probe", name) for probe in self.at_evaluation for name in probe.headlines},
        }

    def run(self, records: Records | Unrecorded) -> list[Row]:
        """Trains to the end, and returns the runs' rows."""
        self.records = records
        self.checkpoints = Checkpoints(records.folder / "checkpoints", self.config.train.checkpoint_seconds)
        try:
            return self._run()
        finally:
            self.checkpoints.close()

    def _run(self) -> list[Row]:
        folder, leads = self.records.folder, distributed.is_leader()
        steps, every = self.config.train.steps, self.config.train.eval_every
        lost = distributed.lead(lambda: lost_records(folder))
        before = distributed.lead(lambda: [] if RUNS in lost else read_runs(folder))
        known_to = lengths.evaluated(before) if before else 0
        first_lost = min((at for at in lost.values() if at is not None), default=known_to + 1)

        def wanted(at: int) -> bool:
            """Returns whether training can resume from a step: a shorter training may have ended at any."""
            return at <= known_to and at < first_lost and (at == steps or at % every == 0)

        restored = self.checkpoints.restore(self.program.abstract_states, wanted)
        step, states = (0, self._first_states()) if restored is None else restored
        at = step if restored else None
        diverged_at = distributed.fetch(states.diverged_at).tolist()
        earlier = distributed.lead(lambda: lengths.as_of(folder, before, step)) if restored else []
        self.runs_table = RunsTable(
            self.configs, self.program.tasks, self.program.builder.sizes, step, diverged_at, earlier
        )
        self.records.rewind(at, self.runs_table.rows)
        repeats = self.checkpoints.rewind(at)
        if leads and before and lengths.asked(before) != steps:
            reached = lengths.reached(before)
            say(f"{self.label}  trained to step {reached} before: continuing from step {step} to {steps}")
        elif leads and repeats:
            damaged = f"{', '.join(sorted(lost))} damaged or missing: " if lost else ""
            say(f"{self.label}  {damaged}training again from step {step}")
        self.records.start_session(step, devices=[device.device_kind for device in self.program.mesh.devices])
        self.logger.start(folder, step)

        if len(self.configs) > 1 and leads:
            say(f"{self.label} in one program, {self.program.megabytes:.0f} MB")
        metrics = SCHEMAS["metrics"].empty_table()  # stays empty if an earlier session took the last step
        with (
            JobProgress(self.label, steps, step, silent=not leads) as progress,
            Stopping(lambda: self.checkpoints.newest, say) as stopping,
        ):
            if restored is None:
                self._evaluate(0, states, {}, 1)
            while step < steps and not self.runs_table.nothing_left(self.config.train.stop_when_solved):
                first, step = step + 1, min(step + every, steps)
                states, scalars = self.program.segment(states)
                stopping.wait(functools.partial(_is_computed, scalars))
                metrics = self._evaluate(step, states, distributed.fetch(scalars), first)
                stop = distributed.any_of(stopping.asked is not None)
                # A longer training cannot go on from the end of a shorter last segment, but from before it.
                self.checkpoints.save(step, states, force=stop or step < steps < step + every)
                if stop:
                    raise stopping.stopped(step)
                progress.update(step, _medians(metrics, self.shown))
            self._finish(step, states)
            rows = self.runs_table.rows
            progress.close(lengths.reached(rows), self.runs_table.statuses(), _medians(metrics, self.shown_at_end))
        return rows

    def _first_states(self) -> RunState:
        return self.program.place([self.program.init(config) for config in self.configs])

    def _evaluate(self, step: int, states: RunState, scalars: dict[str, np.ndarray], first: int) -> pa.Table:
        """Evaluates and records the segment that ended at `step`. Returns its rows of `metrics`.

        Args:
            step: training steps done.
            states: the members' states.
            scalars: the scalars of every step of the segment; empty before the first segment.
            first: number of the segment's first step.
        """
        runs, every = self.runs_table, self.config.train.log_every
        began = runs.left()
        runs.diverge(distributed.fetch(states.diverged_at).tolist())
        tests, answers = self.program.evaluate(states)
        summaries = self._summaries(tests)
        runs.diverge([step if not np.isfinite(loss) else -1 for loss in tests["loss"].mean(axis=1)])
        done = [row["diverged_at"] or step for row in runs.rows]
        ids = runs.left()

        trained = tables.train_metrics(scalars, began, first, done, every)
        losses = tables.last_values(trained, "train", "loss")
        runs.evaluate(step, summaries, [losses.get(run, np.nan) for run in runs.run_ids])
        found = tables.merged(
            {
                "metrics": trained,
                "scores": tables.scores(tests, answers, self.program.tasks, self.program.test_sets, ids, step),
            },
            {"metrics": tables.evaluation_metrics(summaries, ids, step)},
            *self._measure(self.at_evaluation, step, states, ids),
        )
        self.records.write(step, _filled(found))
        self.logger.write(step, _filled(found))
        self.records.set_runs(runs.rows)
        return found["metrics"]

    def _summaries(self, tests: dict[str, np.ndarray]) -> list[dict[str, float]]:
        return [
            task.summary({name: values[i] for name, values in tests.items()}, test_set)
            for i, (task, test_set) in enumerate(zip(self.program.tasks, self.program.test_sets, strict=True))
        ]

    def _measure(
        self, probes: Sequence[Probe], step: int, states: RunState, ids: Sequence[str | None]
    ) -> list[tables.Tables]:
        """Returns the tables of each probe, for the runs with an id."""
        model, tasks, size = self.program.builder.template, self.program.tasks, self.config.probe.size
        return [
            tables.probe_tables(probe, self.program.measure(probe, states, size), model, tasks, ids, step)
            for probe in probes
        ]

    def _finish(self, step: int, states: RunState) -> None:
        """Writes the last checkpoint, the final probes and completions, and the statuses."""
        runs = self.runs_table
        runs.finish()
        ids = runs.left()
        probed = self._measure(self.at_end, step, states, ids)
        whole = distributed.fetch((states.params, states.numbers))
        shown = {}
        for i, (task, run) in enumerate(zip(self.program.tasks, ids, strict=True)):
            if run is not None and isinstance(task, SentenceTask):
                own = jax.tree.map(lambda leaf, i=i: leaf[i], whole)
                shown[run] = task.showcase(functools.partial(self.program.predict, *own))
        found = _filled(tables.merged({"showcase": tables.showcase(shown, step)}, *probed))
        self.checkpoints.save(step, states, force=True)
        self.records.finish(runs.rows, found)
        self.logger.write(step, found)
        self.logger.finish([row["status"] for row in runs.rows])


def _is_computed(scalars: Mapping[str, Any]) -> bool:
    return all(leaf.is_ready() for leaf in scalars.values())


def _filled(found: tables.Tables) -> tables.Tables:
    return {name: table for name, table in found.items() if table.num_rows}


def _medians(metrics: pa.Table, shown: Mapping[str, tuple[str, str]]) -> dict[str, float]:
    """Returns the medians of metrics over the runs that have them, by the name under which each is shown."""
    values = {name: [*tables.last_values(metrics, *which).values()] for name, which in shown.items()}
    return {name: float(np.median(own)) for name, own in values.items() if own}


def _probes(names: Sequence[str], path: str) -> list[Probe]:
    return [_probe(name, f"{path}.{i}") for i, name in enumerate(names)]


@functools.lru_cache(maxsize=64)
def _probe(name: str, path: str) -> Probe:
    """Returns a probe, the same object for every job: by it a program finds what it has compiled for the probe."""
    return make_probe(name, path)
