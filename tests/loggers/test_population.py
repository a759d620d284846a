"""Populations and loggers: each run has a logger, unless there are many runs, which share one."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from rnnbench.config.identity import run_id
from rnnbench.config.schema import Config
from rnnbench.errors import UserError
from rnnbench.loggers import Logger, wandb
from rnnbench.loggers.population import PopulationLogger, medians
from rnnbench.records.schemas import SCHEMAS
from rnnbench.training import runner
from tests.helpers import table_of

Compose = Callable[..., Config]


class MemoryLogger(Logger):
    """A logger that stores what it receives."""

    every: list["MemoryLogger"] = []  # noqa: RUF012

    def __init__(self, max_runs: int | None = 32) -> None:
        self.max_runs = max_runs
        self.started: dict[str, Any] = {}
        self.written: list[tuple[int, dict[str, pa.Table]]] = []
        self.status = ""
        MemoryLogger.every.append(self)

    def start(
        self, run_id: str, config: Mapping[str, Any], folder: Path, step: int, group: str | None, runs: int
    ) -> None:
        self.started = {"run_id": run_id, "config": config, "folder": folder, "step": step}
        self.started |= {"group": group, "runs": runs}

    def write(self, step: int, tables: Mapping[str, pa.Table]) -> None:
        self.written.append((step, dict(tables)))

    def finish(self, status: str) -> None:
        self.status = status


@pytest.fixture
def loggers(monkeypatch: pytest.MonkeyPatch) -> list[MemoryLogger]:
    """Returns the loggers that were built, in the order of the runs."""
    MemoryLogger.every = []
    monkeypatch.setattr(wandb, "WandbLogger", MemoryLogger)
    return MemoryLogger.every


@pytest.fixture
def configs(compose: Compose, tmp_path: Path) -> list[Config]:
    """Returns the configurations of four runs. Up to three runs have a logger each; more than three share one."""
    configs = [compose(f"output={tmp_path}", f"seed={seed}") for seed in range(4)]
    for config in configs:
        config.logger = {"_target_": "rnnbench.loggers.wandb.WandbLogger", "max_runs": 3}
    return configs


FOLDER = Path("results/adding-lstm-0123456789ab")


def metrics(values: Mapping[str, float], step: int = 8) -> pa.Table:
    """Returns a test metric of some runs, given by run id."""
    columns = {"run_id": list(values), "value": list(values.values())}
    return table_of("metrics", {**columns, "step": step, "split": "test", "metric": "mse"})


def test_each_run_has_a_logger_of_its_own(configs: list[Config], loggers: list[MemoryLogger]) -> None:
    ids = [run_id(config) for config in configs[:3]]
    population = PopulationLogger(configs[:3])
    population.start(FOLDER, 4)
    started = [logger.started for logger in loggers]
    assert [one["run_id"] for one in started] == ids
    assert [one["runs"] for one in started] == [1, 1, 1]
    assert [one["config"]["seed"] for one in started] == [0, 1, 2]
    assert {(one["folder"], one["step"], one["group"]) for one in started} == {(FOLDER, 4, FOLDER.name)}

    table = metrics({ids[0]: 1.0, ids[2]: 3.0})
    population.write(8, {"metrics": table, "scores": SCHEMAS["scores"].empty_table()})
    [(step, own)] = loggers[2].written
    assert step == 8
    assert list(own) == ["metrics"], "no table without rows"
    assert own["metrics"].equals(table.slice(1, 1))
    assert loggers[1].written == [], "nothing was recorded of it"

    population.finish(["finished", "diverged", "finished"])
    assert [logger.status for logger in loggers] == ["finished", "diverged", "finished"]


def test_many_runs_share_one_that_gets_their_medians(configs: list[Config], loggers: list[MemoryLogger]) -> None:
    population = PopulationLogger(configs)
    population.start(FOLDER, 0)
    population.write(8, {"metrics": metrics({run_id(config): i**2 for i, config in enumerate(configs)})})
    population.finish(["diverged", "finished", "diverged", "diverged"])
    [logger] = [logger for logger in loggers if logger.started]
    assert logger.started["run_id"] == "0123456789ab"
    assert logger.started["runs"] == 4
    assert logger.started["config"]["population"] == {"seed": [0, 1, 2, 3]}
    [(_, tables)] = logger.written
    values = {row["metric"]: row["value"] for row in tables["metrics"].to_pylist()}
    quartiles = np.quantile([0, 1, 4, 9], (0.25, 0.5, 0.75))
    assert values == dict(zip(("mse.q25", "mse", "mse.q75"), quartiles, strict=True))
    assert logger.status == "finished"


def test_a_logger_without_a_limit_is_never_shared(configs: list[Config], loggers: list[MemoryLogger]) -> None:
    for config in configs:
        assert config.logger is not None
        config.logger["max_runs"] = None
    PopulationLogger(configs).start(FOLDER, 0)
    assert all(logger.started for logger in loggers)
    assert len(loggers) == 4


def test_a_run_by_itself_has_no_group(configs: list[Config], loggers: list[MemoryLogger]) -> None:
    PopulationLogger(configs[:1]).start(FOLDER, 0)
    assert loggers[0].started["group"] is None


def test_runs_without_a_logger_log_nothing(compose: Compose) -> None:
    for configs in ([], [compose()]):
        population = PopulationLogger(configs)
        population.start(FOLDER, 0)
        population.write(8, {"metrics": metrics({"a": 1.0})})
        population.finish(["finished"])


def test_training_logs_what_it_records(configs: list[Config], loggers: list[MemoryLogger]) -> None:
    rows = runner.train(*configs[:3])
    for row, logger in zip(rows, loggers, strict=True):
        assert [step for step, _ in logger.written] == [0, 4, 8]
        _, tables = logger.written[-1]
        assert set(tables) == {"metrics", "scores", "gradient_flow"}
        assert all(set(table["run_id"].to_pylist()) == {row["run_id"]} for table in tables.values())
        values = {(row["split"], row["metric"]): row["value"] for row in tables["metrics"].to_pylist()}
        assert values["test", "mse"] == row["final.mse"]
        assert logger.status == "finished"


def test_medians_are_of_each_key_over_the_runs_that_have_it() -> None:
    """Run b has diverged and has no more rows."""
    flow = {"step": 8, "layer": 0, "state": "h", "q10": 0.0, "q50": [1.0, 2.0, 7.0] * 2, "q90": 0.0}
    tables = {
        "gradient_flow": table_of(
            "gradient_flow",
            {**flow, "run_id": ["a", "c", "d"] * 2, "time": [0] * 3 + [1] * 3, "norm": [1.0, 2.0, 9.0, 5.0, 6.0, 4.0]},
        ),
        "scores": table_of(
            "scores",
            {
                **{"run_id": ["a", "c"], "step": 8, "metric": "mse", "by": "distance", "low": 1, "high": 2},
                **{"value": [1.0, 2.0], "count": [3, 4]},
            },
        ),
        "metrics": SCHEMAS["metrics"].empty_table(),
        "showcase": SCHEMAS["showcase"].empty_table(),
    }
    found = medians(tables, "job")
    assert set(found) == {"gradient_flow", "scores"}
    rows = found["gradient_flow"].to_pylist()
    assert [(row["run_id"], row["time"], row["norm"], row["q50"]) for row in rows] == [
        ("job", 0, 2.0, 2.0),
        ("job", 1, 5.0, 2.0),
    ]
    [row] = found["scores"].to_pylist()
    assert (row["value"], row["count"]) == (1.5, 3)


def test_what_is_no_logger_is_refused(compose: Compose) -> None:
    config = compose()
    config.logger = {"_target_": "rnnbench.tasks.Digits"}
    message = r"logger\._target_: expected a subclass of rnnbench\.loggers\.Logger, got rnnbench\.tasks\.Digits"
    with pytest.raises(UserError, match=message):
        PopulationLogger([config])
