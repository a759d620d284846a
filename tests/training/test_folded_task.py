"""Compares members of a population that differ in a number of their task with their solo runs."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import rnnbench
from rnnbench.config.schema import Config
from rnnbench.testing import check_task
from rnnbench.training import runner

Compose = Callable[..., Config]
OUTSIDE = Path(__file__).parents[1] / "outside"
WEIGHTS = (0.5, 4.0)


@pytest.fixture(autouse=True)
def outside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(OUTSIDE)


def test_the_task_keeps_its_contract() -> None:
    from weighted_adding import WeightedAdding

    check_task(WeightedAdding(length=6, weight=0.5))


def assert_records_agree(together: pd.DataFrame, alone: pd.DataFrame, what: str, values: list[str]) -> None:
    """Asserts that all rows of two tables agree, and names those that differ."""
    keys = [name for name in alone.columns if name not in values]
    both = together.merge(alone, on=keys, suffixes=("", " alone"))
    assert len(both) == len(together) == len(alone) > 0
    assert both.run_id.nunique() == len(WEIGHTS)
    differing = {
        name
        for value in values
        for name, got, expected in zip(both[what], both[value], both[f"{value} alone"], strict=True)
        if not np.isclose(got, expected, rtol=1e-3, atol=1e-6)
    }
    assert not differing, f"{what}s whose {values} differ from the solo run's: {sorted(differing)}"


def test_members_record_what_their_solo_runs_record(compose: Compose, tmp_path: Path) -> None:
    """Covers train and test metrics, gradient flow, and Omega, which depends on the relative weight of the outputs."""

    def config(output: str, weight: float) -> Config:
        config = compose(f"output={tmp_path / output}", "train.omega=0.5")
        target = "weighted_adding.WeightedAdding"
        config.task = {"name": "weighted_adding", "_target_": target, "length": 6, "weight": weight}
        return config

    runner.train(*(config("together", weight) for weight in WEIGHTS))
    for weight in WEIGHTS:
        runner.train(config("alone", weight))
    together, alone = tmp_path / "together", tmp_path / "alone"

    metrics = rnnbench.load_metrics(alone)
    assert {"train", "test", "probe"} == set(metrics.split)
    assert "omega" in set(metrics.metric)
    at_first = metrics[(metrics.step == 0) & (metrics.split == "test") & (metrics.metric == "mse")].value
    assert at_first.max() > 1.2 * at_first.min(), "the weight makes no difference: the checks below would be empty"

    assert_records_agree(rnnbench.load_metrics(together), metrics, "metric", ["value"])
    flows = rnnbench.load_table(together, "gradient_flow"), rnnbench.load_table(alone, "gradient_flow")
    assert_records_agree(*flows, "state", ["norm", "q10", "q50", "q90"])
