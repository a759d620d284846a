"""Trained models again, from what a job left: its configuration and its newest checkpoint."""

from pathlib import Path
from typing import Any, NamedTuple

import yaml
from omegaconf import OmegaConf

from rnnbench.config.parse import parse_members
from rnnbench.config.schema import Config
from rnnbench.errors import UserError
from rnnbench.training.checkpoints import Checkpoints
from rnnbench.training.program import Program, program
from rnnbench.training.step import RunState


class TrainedJob(NamedTuple):
    """A job's population as its newest checkpoint holds it.

    Attributes:
        configs: its runs'.
        program: what computes with their states.
        step: training steps done.
        states: the runs' states, each leaf with a leading axis.
    """

    configs: list[Config]
    program: Program
    step: int
    states: RunState


def read_config(folder: Path) -> tuple[dict[str, Any], list[Config]]:
    """Returns a job's configuration as it is recorded, and that of each run.

    Raises:
        UserError: it is not there, or not a configuration that rnnbench wrote.
    """
    path = folder / "config.yaml"
    try:
        resolved = yaml.safe_load(path.read_text())
    except (OSError, yaml.YAMLError) as error:
        raise UserError(f"{path}: expected the configuration that rnnbench wrote, got {error}") from error
    if not isinstance(resolved, dict):
        raise UserError(f"{path}: expected the configuration that rnnbench wrote, got {resolved!r}")
    return resolved, parse_members(OmegaConf.create(resolved))


def load_job(folder: Path) -> TrainedJob:
    """Returns a job's models from its newest checkpoint. Its owner must hold the job's records.

    Raises:
        UserError: there is no checkpoint that can be read.
    """
    _, configs = read_config(folder)
    shared = program(configs)
    checkpoints = Checkpoints(folder / "checkpoints", 0.0)
    try:
        restored = checkpoints.restore(shared.abstract_states)
    finally:
        checkpoints.close()
    if restored is None:
        raise UserError(f"{folder}/checkpoints: expected a checkpoint, found none that is whole; train on first")
    return TrainedJob(configs, shared, *restored)
