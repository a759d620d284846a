"""Loads trained models from a job's recorded configuration and its newest checkpoint."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import yaml
from omegaconf import OmegaConf

from rnnbench.analysis.tables import load_runs
from rnnbench.config.identity import run_id as id_of
from rnnbench.config.objects import vetted
from rnnbench.config.parse import parse_members
from rnnbench.config.schema import Config
from rnnbench.errors import UserError
from rnnbench.model import Model
from rnnbench.records.files import read_whole
from rnnbench.records.writer import Records
from rnnbench.training.checkpoints import Checkpoints
from rnnbench.training.devices import start_devices, use_devices
from rnnbench.training.program import Program, program
from rnnbench.training.step import RunState
from rnnbench.training.trust import Trust, refuse_interpolations


class TrainedJob(NamedTuple):
    """A job's population, as restored from its newest checkpoint.

    Attributes:
        configs: the configurations of the runs.
        program: the compiled functions for their states.
        step: the number of training steps done.
        states: the states of the runs; each leaf has a leading axis for the runs.
    """

    configs: list[Config]
    program: Program
    step: int
    states: RunState


def read_config(folder: Path, allow: Iterable[str] = ()) -> tuple[dict[str, Any], list[Config]]:
    """Returns a job's recorded configuration, and the configuration of each of its runs, without their logger.

    Args:
        folder: the job's folder.
        allow: packages whose cells and tasks the configuration may name, besides rnnbench's own.

    Raises:
        UserError: the file is missing, is not a configuration that rnnbench wrote, or names other code.
    """
    path = folder / "config.yaml"
    try:
        resolved = yaml.safe_load(read_whole(path))
    except (OSError, UserError, yaml.YAMLError) as error:
        raise UserError(f"{path}: expected the configuration that rnnbench wrote, got {error}") from error
    if not isinstance(resolved, dict):
        raise UserError(f"{path}: expected the configuration that rnnbench wrote, got {resolved!r}")
    refuse_interpolations(resolved, path)
    with vetted(Trust(path, allow)):
        # Reading logs nothing, so the results of a logger's owner can be read without that logger.
        return resolved, parse_members(OmegaConf.create({**resolved, "logger": None}))


def load_model(folder: str | Path, run_id: str | None = None, allow: Iterable[str] = ()) -> Model:
    """Returns the trained model of a run, with its parameters from the newest checkpoint.

        model = rnnbench.load_model("results", run_id)
        outputs, states = model(inputs, mask)

    The folder may come from someone else: its configuration runs only rnnbench's own cells and tasks, common functions
    of JAX, Flax and optax, and cells and tasks of the packages in `allow`.

    Args:
        folder: the run's job folder, or any folder above it.
        run_id: the run's id; None stands for the only run in the folder.
        allow: packages that you trust, such as the one of your own cells.

    Raises:
        UserError: the configuration names code of another package, the run does not exist, `run_id` is None and there
            are several runs, the job is being trained right now, or there is no checkpoint.
    """
    runs = load_runs(folder)
    found = runs if run_id is None else runs[runs["run_id"] == run_id]
    if len(found) != 1:
        known = f"{', '.join(runs['run_id'].head(3))}{', ...' if len(runs) > 3 else ''}"
        raise UserError(f"{folder}: expected a run_id, one of {known} (rnnbench.load_runs has them), got {run_id!r}")
    [row] = found.to_dict("records")
    use_devices(None)  # the same number as a later `rnnbench.train` in this process uses
    job_folder = Path(row["folder"])
    resolved, configs = read_config(job_folder, [allow] if isinstance(allow, str) else allow)
    with Records(job_folder, resolved):
        job = load_job(job_folder, configs)
    place = [id_of(config) for config in job.configs].index(row["run_id"])
    own = jax.device_get((job.states.params, job.states.numbers))
    return job.program.builder.model(*jax.tree.map(lambda leaf: jnp.asarray(leaf[place]), own))


def load_job(folder: Path, configs: list[Config]) -> TrainedJob:
    """Returns a job's models from its newest checkpoint. The caller must hold the job's records.

    Args:
        folder: the job's folder.
        configs: what `read_config` returned.

    Raises:
        UserError: there is no readable checkpoint.
    """
    start_devices()
    shared = program(configs)
    checkpoints = Checkpoints(folder / "checkpoints", 0.0)
    try:
        restored = checkpoints.restore(shared.abstract_states)
    finally:
        checkpoints.close()
    if restored is None:
        raise UserError(f"{folder}/checkpoints: expected a checkpoint, found none that is whole; train the run first")
    return TrainedJob(configs, shared, *restored)
