"""Every cell learns to add: two layers of it, on the adding problem with ten steps."""

from pathlib import Path

import pytest

import rnnbench
from rnnbench.config.compose import shipped
from tests.helpers import optax_promotion

NAMES = sorted(file.stem for file in (shipped("conf") / "model").glob("*.yaml"))
OPTIONS = {"cornn": ["model.cell.dt=0.3"]}  # ten steps of its default length are a small part of an oscillation


@pytest.mark.parametrize("name", NAMES)
def test_every_cell_learns_to_add(name: str, tmp_path: Path) -> None:
    config = rnnbench.compose(
        *(f"model={name}", "model.num_layers=2", "model.hidden_size=24", *OPTIONS.get(name, [])),
        *("task=adding", "task.length=10", "train.steps=1000", "train.batch_size=32", "train.eval_every=1000"),
        *("optimizer.learning_rate=0.01", "probe.at_evaluation=[]", "probe.at_end=[]", f"output={tmp_path}"),
    )
    with optax_promotion():
        rnnbench.train(config)
    [run] = rnnbench.load_runs(tmp_path).to_dict("records")
    assert run["final.mse"] < run["chance.mse"] / 10
