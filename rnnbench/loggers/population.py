"""The loggers of a population: each run has its own, or all of them share one if there are many."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from rnnbench.config.identity import described, flatten, identity, run_id
from rnnbench.config.objects import instantiate
from rnnbench.config.schema import Config
from rnnbench.errors import UserError
from rnnbench.loggers.base import Logger

_KEYS = {
    "metrics": ["step", "split", "metric"],
    "scores": ["step", "metric", "by", "low", "high"],
    "gradient_flow": ["step", "layer", "state", "time"],
}
"""Tables whose medians a shared logger gets, and the columns that match rows of different runs."""


class PopulationLogger:
    """Passes the records of a population on to its loggers."""

    def __init__(self, configs: Sequence[Config]):
        """Builds the loggers without opening them.

        Args:
            configs: the runs' configurations. If there are none, or they have no logger, nothing is logged.

        Raises:
            UserError: the config's logger cannot be built, or is not a `Logger`.
        """
        self._configs = [config for config in configs if config.logger is not None]
        self._run_ids = [run_id(config) for config in self._configs]
        self._loggers = [_build(config.logger) for config in self._configs if config.logger is not None]
        most = self._loggers[0].max_runs if self._loggers else None
        self._is_shared = most is not None and len(self._loggers) > most
        if self._is_shared:
            del self._loggers[1:]

    def start(self, folder: Path, step: int) -> None:
        """Opens the loggers.

        Args:
            folder: the job folder.
            step: the training step from which the runs start or resume.
        """
        group = folder.name if len(self._configs) > 1 else None
        if self._is_shared:
            first = self._configs[0]
            self._job_id = folder.name.rpartition("-")[2]
            about = {"population": _differing(self._configs), **described(first)}
            self._loggers[0].start(self._job_id, about, folder, step, group, len(self._configs))
            return
        for run, config, logger in zip(self._run_ids, self._configs, self._loggers, strict=True):
            logger.start(run, described(config), folder, step, group, 1)

    def write(self, step: int, tables: Mapping[str, pa.Table]) -> None:
        """Passes on what was recorded for the segment that ended at `step`.

        Args:
            step: training steps done.
            tables: the whole population's tables by name, each with `run_id` and `step`. A logger without any rows is
                not called.
        """
        if self._is_shared:
            parts = [medians(tables, self._job_id)]
        else:
            parts = [
                {name: table.filter(pc.field("run_id") == run) for name, table in tables.items()}
                for run in self._run_ids
            ]
        for logger, part in zip(self._loggers, parts, strict=True):
            if rows := {name: table for name, table in part.items() if table.num_rows}:
                logger.write(step, rows)

    def finish(self, statuses: Sequence[str]) -> None:
        """Closes the loggers.

        Args:
            statuses: every run's status, "finished" or "diverged". A shared logger is "finished" if any run is.
        """
        if not self._loggers:
            return
        if self._is_shared:
            statuses = ["finished" if "finished" in statuses else statuses[0]]
        for logger, status in zip(self._loggers, statuses, strict=True):
            logger.finish(status)


def _build(node: Mapping[str, Any]) -> Logger:
    logger = instantiate(node, "logger")
    if not isinstance(logger, Logger):
        raise UserError(f"logger._target_: expected a subclass of rnnbench.loggers.Logger, got {node['_target_']}")
    return logger


def medians(tables: Mapping[str, pa.Table], job_id: str) -> dict[str, pa.Table]:
    """Returns the medians over runs of `metrics`, `scores` and `gradient_flow`, as tables with the same columns.

    For metrics, the quartiles are included as `<metric>.q25` and `<metric>.q75`. NaN values do not count.

    Args:
        tables: the whole population's tables by name; other tables are left out.
        job_id: the value of the column `run_id`.
    """
    result = {}
    for name, keys in _KEYS.items():
        if name not in tables or tables[name].num_rows == 0:
            continue
        runs = tables[name].to_pandas().drop(columns="run_id").groupby(keys, sort=False)
        frames = [runs.median().reset_index()]
        if name == "metrics":
            for percent in (25, 75):
                quartile = runs.quantile(percent / 100).reset_index()
                frames.append(quartile.assign(metric=quartile["metric"] + f".q{percent}"))
        # safe=False: a median of the integers in the column `count` may end in .5, which is dropped.
        result[name] = pa.concat_tables(
            pa.Table.from_pandas(frame.assign(run_id=job_id), tables[name].schema, preserve_index=False, safe=False)
            for frame in frames
        )
    return result


def _differing(configs: Sequence[Config]) -> dict[str, list[Any]]:
    """Returns the configuration keys in which runs differ, each with the values of all runs."""
    flat = [flatten(identity(config)) for config in configs]
    return {key: [own[key] for own in flat] for key in flat[0] if len({str(own[key]) for own in flat}) > 1}
