"""Populations and sinks: a sink a run, and one in all where there are many."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rnnbench.config.identity import run_id
from rnnbench.config.schema import Config
from rnnbench.loggers import wandb as loggers
from rnnbench.loggers.population import medians
from rnnbench.training import runner

Compose = Callable[..., Config]


class Sink:
    """Keeps what it is fed."""

    every: list["Sink"] = []  # noqa: RUF012

    def __init__(self, max_runs: int = 32) -> None:
        self.max_runs = max_runs
        self.calls: list[tuple[Any, ...]] = []
        Sink.every.append(self)

    def start(self, *arguments: Any) -> None:
        self.calls.append(arguments)

    def write(self, step: int, tables: dict[str, dict[str, list[Any]]]) -> None:
        self.calls.append((step, tables))

    def finish(self, status: str) -> None:
        self.calls.append((status,))


@pytest.fixture
def sinks(monkeypatch: pytest.MonkeyPatch) -> list[Sink]:
    Sink.every = []
    monkeypatch.setattr(loggers, "WandbLogger", Sink)
    return Sink.every


def opened(sinks: list[Sink]) -> list[Sink]:
    return [sink for sink in sinks if sink.calls]


@pytest.fixture
def configs(compose: Compose, tmp_path: Path) -> list[Config]:
    node = {"_target_": "rnnbench.loggers.wandb.WandbLogger", "max_runs": 3}
    configs = [compose(f"output={tmp_path}", f"seed={seed}") for seed in range(4)]
    for config in configs:
        config.logger = dict(node)
    return configs


def test_each_run_has_a_sink_of_its_own(configs: list[Config], sinks: list[Sink]) -> None:
    rows = runner.train(*configs[:3])
    used = opened(sinks)
    assert [sink.calls[0][0] for sink in used] == [run_id(config) for config in configs[:3]]
    assert len({sink.calls[0][5] for sink in used}) == 1, "one group"
    assert [step for step, _ in used[0].calls[1:-1]] == [0, 4, 8]
    for i, sink in enumerate(used):
        metrics = sink.calls[-2][1]["metrics"]
        values = dict(zip(zip(metrics["split"], metrics["metric"], strict=True), metrics["value"], strict=True))
        assert values["test", "mse"] == rows[i]["final.mse"]
        assert sink.calls[-1] == ("finished",)


def test_many_runs_share_one_that_carries_their_medians(configs: list[Config], sinks: list[Sink]) -> None:
    rows = runner.train(*configs)
    [sink] = opened(sinks)
    _, name, about, *_ = sink.calls[0]
    assert name == "adding-lstm-4-runs"
    assert about["population"] == {"seed": [0, 1, 2, 3]}
    metrics = sink.calls[-2][1]["metrics"]
    last = {
        metric: value
        for step, split, metric, value in zip(*(metrics[k] for k in ("step", "split", "metric", "value")), strict=True)
        if split == "test" and step == 8
    }
    finals = [row["final.mse"] for row in rows]
    np.testing.assert_allclose(
        [last["mse.q25"], last["mse"], last["mse.q75"]], np.quantile(finals, (0.25, 0.5, 0.75)), rtol=1e-6
    )


def test_medians_are_of_the_runs_that_still_train() -> None:
    def tables(value: float) -> dict[str, list[dict[str, Any]]]:
        return {"gradient_flow": [{"step": 1, "layer": 0, "state": "h", "time": 3, "norm": value}]}

    [row] = medians([tables(1.0), None, tables(2.0), tables(9.0)])["gradient_flow"]
    assert row["norm"] == 2.0
