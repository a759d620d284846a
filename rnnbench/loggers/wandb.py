"""Sinks that a run's records are also fed to. The records on disk are the truth, and are written first.

A sink has three methods: `start` before the first segment, `write` after each with what the records got of this run,
`finish` at the end.
"""

import contextlib
import netrc
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlparse

import numpy as np

from rnnbench.errors import UserError
from rnnbench.records.bins import bin_label

Mode = Literal["online", "offline", "disabled"]

MAX_BINS = 512
"""A histogram of Weights & Biases has no more."""


class WandbLogger:
    """Feeds one run to Weights & Biases under its own run id.

    Metrics keep their names behind their split (`train/loss`, `test/accuracy`), scores are named like
    `scores/accuracy/distance=33-64`. Gradient flow (`gradient_flow/layer0/h`) is a histogram with a bar for each time
    step, as high as the gradient's norm there: over training, a heat map of time. Step is the training step.

    A resumed run is fed from the restored step on; online, it continues the same run, and what the server has already
    is left as it is. Offline, the new part is a second folder of the same id, and `wandb sync` brings them together.

    Args:
        project: name of the project.
        entity: user or team; None: the account's default.
        mode: "online", "offline" (files below the job folder, for `wandb sync`) or "disabled"; None: the environment's
            WANDB_MODE, else online where an account is set up, else offline.
        group: groups runs on the server; None: the runs of a population by their job.
        tags: the runs' tags.
        max_runs: of a population with more runs, one run carries the medians and quartiles instead.

    Raises:
        ValueError: no such mode.
    """

    def __init__(
        self,
        project: str = "rnnbench",
        entity: str | None = None,
        mode: Mode | None = None,
        group: str | None = None,
        tags: Sequence[str] = (),
        max_runs: int = 32,
    ) -> None:
        if mode not in (None, "online", "offline", "disabled"):
            raise ValueError(f"mode: expected online, offline, disabled or null, got {mode!r}")
        self.project, self.entity, self.mode, self.group, self.tags = project, entity, mode, group, list(tags)
        self.max_runs = max_runs
        self._run: Any = None

    def start(
        self,
        run_id: str,
        name: str,
        config: Mapping[str, Any],
        folder: str | Path,
        step: int,
        group: str | None = None,
    ) -> None:
        """Opens the run.

        Args:
            run_id: names the run, here as in the records.
            name: what to show for it.
            config: the run's config, nested.
            folder: the job folder, below which wandb keeps its files.
            step: the training step it goes on from; 0 starts it afresh.
            group: name of the population that it belongs to, if it does.

        Raises:
            UserError: wandb cannot start (no network, a wrong key, ...).
        """
        import wandb  # 0.6 s

        mode: Any = self.mode or os.environ.get("WANDB_MODE") or ("online" if has_account() else "offline")
        try:
            self._run = wandb.init(
                project=self.project,
                entity=self.entity,
                id=run_id,
                name=name,
                config=dict(config),
                group=self.group or group,
                tags=self.tags,
                dir=str(folder),
                mode=mode,
                resume="allow" if step > 0 else None,
                reinit="create_new",  # a population's runs are open side by side
                settings=wandb.Settings(silent=mode != "online", console="off"),
            )
        except wandb.Error as error:
            raise UserError(f"logger: wandb cannot start ({error}); logger.mode=offline needs no account") from error

    def write(self, step: int, tables: Mapping[str, Mapping[str, Any]]) -> None:
        """Feeds what was recorded of this run for the segment that ended at `step`: the columns of each table."""
        del step  # every row has its own
        by_step: dict[int, dict[str, Any]] = {}
        for name, convert in (("metrics", _metrics), ("scores", _scores), ("gradient_flow", _gradient_flow)):
            rows = _rows(tables.get(name, {}))
            for at in dict.fromkeys(row["step"] for row in rows):
                by_step.setdefault(int(at), {}).update(convert([row for row in rows if row["step"] == at]))
        for at in sorted(by_step):  # wandb drops a step that goes backwards
            self._run.log(by_step[at], step=at)

    def finish(self, status: str) -> None:
        """Closes the run: "finished", or "diverged", which counts as failed there."""
        self._run.summary["status"] = status
        self._run.finish(exit_code=0 if status == "finished" else 1)


def has_account() -> bool:
    """Whether wandb has a key to log in with: from the environment, or from `wandb login`."""
    if os.environ.get("WANDB_API_KEY"):
        return True
    host = urlparse(os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai")).hostname or ""
    path = os.environ.get("NETRC") or Path.home() / ".netrc"
    with contextlib.suppress(OSError, netrc.NetrcParseError):
        return netrc.netrc(str(path)).authenticators(host) is not None
    return False


def _rows(columns: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Columns, or scalars for all rows, as rows."""
    arrays = {name: np.asarray(values) for name, values in columns.items()}
    count = max((len(array) for array in arrays.values() if array.ndim), default=1 if arrays else 0)
    filled = {name: np.broadcast_to(array, count).tolist() for name, array in arrays.items()}
    return [{name: filled[name][i] for name in filled} for i in range(count)]


def _metrics(rows: list[dict[str, Any]]) -> dict[str, Any]:
    return {f"{row['split']}/{row['metric']}": row["value"] for row in rows}


def _scores(rows: list[dict[str, Any]]) -> dict[str, Any]:
    return {f"scores/{row['metric']}/{row['by']}={bin_label(row['low'], row['high'])}": row["value"] for row in rows}


def _gradient_flow(rows: list[dict[str, Any]]) -> dict[str, Any]:
    import wandb

    histograms = {}
    for layer, state in dict.fromkeys((row["layer"], row["state"]) for row in rows):
        norms = np.array([row["norm"] for row in rows if (row["layer"], row["state"]) == (layer, state)])
        edges = np.linspace(0, len(norms), min(len(norms), MAX_BINS) + 1)
        means = np.array([np.mean(part) for part in np.split(norms, edges[1:-1].astype(int))])
        histograms[f"gradient_flow/layer{layer}/{state}"] = wandb.Histogram(np_histogram=(means, edges))
    return histograms
