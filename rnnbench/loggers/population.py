"""Which runs of a population feed which sink: each its own, or, where they are many, all of them one."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from rnnbench.config.identity import flatten, identity, run_id
from rnnbench.config.objects import instantiate
from rnnbench.config.schema import Config

Row = dict[str, Any]
Tables = dict[str, list[Row]]

_KEYS = {
    "metrics": ("step", "split", "metric"),
    "scores": ("step", "metric", "by", "low", "high"),
    "gradient_flow": ("step", "layer", "state", "time"),
}
_VALUES = {"metrics": "value", "scores": "value", "gradient_flow": "norm"}


class Feed:
    """One sink (see `rnnbench.loggers.wandb`), and the members of a population whose records it gets."""

    def __init__(self, logger: Any, configs: Sequence[Config], members: Sequence[int]):
        self._logger, self._configs, self._members = logger, configs, members

    def start(self, folder: Path, step: int) -> None:
        """Opens the sink; `step` is where training goes on from."""
        config = self._configs[self._members[0]]
        group = folder.name if len(self._configs) > 1 else None
        what = f"{config.task['name']}-{config.model.name}"
        if len(self._members) == 1:
            self._logger.start(run_id(config), f"{what}-seed{config.seed}", identity(config), folder, step, group)
        else:
            name = f"{what}-{len(self._members)}-runs"
            about = {"population": _differing([self._configs[i] for i in self._members]), **identity(config)}
            self._logger.start(folder.name.rpartition("-")[2], name, about, folder, step, group)

    def write(self, step: int, tables: Mapping[str, pa.Table]) -> None:
        """Feeds what was recorded of the population for the segment that ended at `step`."""
        ids = [run_id(self._configs[i]) for i in self._members]
        rows = {name: table.to_pylist() for name, table in tables.items()}
        own = [{name: [row for row in of if row["run_id"] == run] for name, of in rows.items()} for run in ids]
        fed = own[0] if len(self._members) == 1 else medians(own)
        self._logger.write(
            step, {name: {key: [row[key] for row in rows] for key in rows[0]} for name, rows in fed.items() if rows}
        )

    def finish(self, statuses: Sequence[str]) -> None:
        """Closes the sink: "finished", if any of its runs is."""
        own = {statuses[i] for i in self._members}
        self._logger.finish("finished" if "finished" in own else own.pop())


def feeds(configs: Sequence[Config]) -> list[Feed]:
    """The sinks of a population: one a run, or one in all where there are more runs than the sink's `max_runs`."""
    if configs[0].logger is None:
        return []
    loggers = [instantiate(config.logger, "logger") for config in configs if config.logger is not None]
    if len(configs) > getattr(loggers[0], "max_runs", len(configs)):
        return [Feed(loggers[0], configs, range(len(configs)))]
    return [Feed(logger, configs, [i]) for i, logger in enumerate(loggers)]


def medians(tables: Sequence[Tables | None]) -> Tables:
    """The median over runs of every number; of the metrics, the quartiles too, as `<metric>.q25` and `<metric>.q75`."""
    result: Tables = {}
    for name, keys in _KEYS.items():
        groups: dict[tuple[Any, ...], list[float]] = {}
        for own in tables:
            for row in (own or {}).get(name, []):
                groups.setdefault(tuple(row[key] for key in keys), []).append(row[_VALUES[name]])
        rows = result.setdefault(name, [])
        for group, values in groups.items():
            row = dict(zip(keys, group, strict=True))
            q25, median, q75 = np.quantile(values, (0.25, 0.5, 0.75)).tolist()
            rows.append({**row, _VALUES[name]: median})
            if name == "metrics":
                rows += [{**row, "metric": f"{row['metric']}.{q}", "value": v} for q, v in (("q25", q25), ("q75", q75))]
    return result


def _differing(configs: Sequence[Config]) -> dict[str, list[Any]]:
    flat = [flatten(identity(config)) for config in configs]
    return {key: [own[key] for own in flat] for key in flat[0] if len({str(own[key]) for own in flat}) > 1}
