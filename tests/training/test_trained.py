"""Trained models load as they were at the end of training."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np
import pytest
from jaxtyping import PyTree

import rnnbench
from rnnbench.config.identity import run_id
from rnnbench.config.schema import Config
from rnnbench.errors import UserError
from rnnbench.records.writer import Records
from rnnbench.training import runner
from rnnbench.training.checkpoints import Checkpoints
from rnnbench.training.program import program
from rnnbench.training.step import RunState
from rnnbench.training.trained import read_config

Compose = Callable[..., Config]


def test_a_model_predicts_as_the_final_state_did(
    compose: Compose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    configs = [dataclasses.replace(compose(f"output={tmp_path}", "model=lstm"), seed=seed) for seed in range(3)]
    final: list[RunState] = []
    save = Checkpoints.save

    def keep(self: Checkpoints, step: int, states: RunState, *, force: bool = False) -> None:
        if force:
            final.append(states)
        save(self, step, states, force=force)

    monkeypatch.setattr(Checkpoints, "save", keep)
    rnnbench.train(configs)
    shared = program(configs)
    batch = shared.tasks[0].test_set(5)
    for place, config in enumerate(configs):
        expected = shared.predict(*_member(final[-1], place), batch.inputs, batch.mask)
        for folder in (tmp_path, next(tmp_path.glob("*/provenance.json")).parent):
            model = rnnbench.load_model(folder, run_id(config))
            outputs, states = model(batch.inputs, batch.mask)
            np.testing.assert_allclose(outputs, expected, rtol=1e-5, atol=1e-6)
            assert [leaf.shape for leaf in states[0]] == [(5, 4), (5, 4)]
    assert not np.allclose(expected, shared.predict(*_member(final[-1], 0), batch.inputs, batch.mask))


def _member(states: RunState, place: int) -> tuple[PyTree, PyTree]:
    return jax.tree.map(lambda leaf: leaf[place], (states.params, states.numbers))


def test_which_run_is_meant_must_be_clear(compose: Compose, tmp_path: Path) -> None:
    config = compose(f"output={tmp_path}")
    runner.train(config)
    assert rnnbench.load_model(tmp_path).layers[0].hidden_features == 4
    with pytest.raises(UserError, match=f"expected a run_id, one of {run_id(config)} .*, got 'other'"):
        rnnbench.load_model(tmp_path, "other")
    runner.train(dataclasses.replace(config, seed=1))
    with pytest.raises(UserError, match=r"expected a run_id, one of .*, .* \(rnnbench\.load_runs has them\), got None"):
        rnnbench.load_model(tmp_path)


def test_a_run_that_trains_is_left_alone(compose: Compose, tmp_path: Path) -> None:
    runner.train(compose(f"output={tmp_path}"))
    [folder] = tmp_path.glob("*")
    resolved, _ = read_config(folder)
    with Records(folder, resolved), pytest.raises(UserError, match="is being trained"):
        rnnbench.load_model(folder)
    rnnbench.load_model(folder)
