"""Weights & Biases."""

import collections
import contextlib
import netrc
import os
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlparse

import numpy as np
import pyarrow as pa

from rnnbench.errors import UserError
from rnnbench.loggers.base import Logger
from rnnbench.records.bins import bin_label
from rnnbench.records.damage import tell
from rnnbench.records.files import replace

Mode = Literal["online", "offline", "disabled"]

MAX_TAG, MAX_NAME = 64, 128
"""Maximum number of characters that the server takes in a tag, and in any other name."""

NOT_IN_PROJECTS = "/\\#?%:"
"""Characters that the server does not take in the name of a project."""

MAX_BINS = 512
"""Maximum number of bars in a Weights & Biases histogram."""


class WandbLogger(Logger):
    """Logs one run to Weights & Biases.

    Metrics are named `<split>/<metric>` (`train/loss`, `test/accuracy`), and scores `scores/accuracy/distance=33-64`.
    Gradient flow (`gradient_flow/layer0/h`) is a histogram with one bar per time step, as high as the gradient's norm
    there; over training it becomes a heat map. The step is the training step.

    A training from the start is a new run there, whose id is the run id and a random suffix, because the server never
    takes an id again, not even of a deleted run. The config's `run_id` is that of the records. The id is kept in the
    job folder: a resumed run is logged from the step where it resumes. Online, it continues the same run, and what the
    server already has is kept; if the run was deleted there, the rest becomes a new run. Offline, the new part goes to
    a second folder with the same id, and `wandb sync` merges them.

    Args:
        project: name of the project.
        entity: user or team; None means the account's default.
        mode: "online", "offline" (files below the job folder, for `wandb sync`) or "disabled"; None means the
            environment's WANDB_MODE, otherwise online if an account is set up, otherwise offline.
        group: groups runs on the server; None groups the runs of a population by job.
        tags: the runs' tags.
        max_runs: a larger population is logged as one run, with medians and quartiles.

    Raises:
        ValueError: the server would not take an argument.
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
        for argument, name in {"project": project, "entity": entity, "group": group}.items():
            _check(argument, name, MAX_NAME)
        if wrong := sorted(set(project) & set(NOT_IN_PROJECTS)):
            raise ValueError(f"project: expected a name without any of {NOT_IN_PROJECTS}, got {''.join(wrong)} in it")
        for i, tag in enumerate(tags):
            _check(f"tags.{i}", tag, MAX_TAG)
        if max_runs < 1:
            raise ValueError(f"max_runs: expected 1 or more, got {max_runs}")
        self.project, self.entity, self.mode, self.group, self.tags = project, entity, mode, group, list(tags)
        self.max_runs = max_runs
        self._run: Any = None

    def start(
        self, run_id: str, config: Mapping[str, Any], folder: Path, step: int, group: str | None, runs: int
    ) -> None:
        """Opens the run; see `Logger.start`.

        Raises:
            UserError: wandb cannot start (no network, a wrong key, ...).
        """
        import wandb  # 0.6 s

        mode: Any = self.mode or os.environ.get("WANDB_MODE") or ("online" if has_account() else "offline")
        options = {
            "project": self.project,
            "entity": self.entity,
            "name": _name(config, runs),
            "config": {"run_id": run_id, **config},
            "group": self.group or group,
            "tags": self.tags,
            "dir": str(folder),
            "mode": mode,
            "reinit": "create_new",  # a population's runs are open side by side
            "settings": wandb.Settings(silent=mode != "online", console="off"),
        }
        kept = folder / "wandb" / f"{run_id}.id"
        try:
            if step > 0 and kept.exists():
                try:
                    self._run = wandb.init(id=kept.read_text(), resume="allow", **options)
                except wandb.Error as error:
                    if "created and deleted" not in str(error):
                        raise
                    tell(f"{run_id} was deleted from Weights & Biases: a new run there begins at step {step}")
                else:
                    return
            replace(kept, (own := f"{run_id}-{secrets.token_hex(3)}").encode())
            self._run = wandb.init(id=own, **options)
        except (wandb.Error, ValueError) as error:  # pydantic's errors about settings are ValueErrors
            reason = " ".join(str(error).split())
            raise UserError(f"logger: wandb cannot start ({reason}); logger.mode=offline needs no account") from error

    def write(self, step: int, tables: Mapping[str, pa.Table]) -> None:
        """Logs metrics, scores and gradient flow; see `Logger.write`."""
        del step  # every row has its own
        by_step: dict[int, dict[str, Any]] = collections.defaultdict(dict)
        for row in _rows(tables, "metrics"):
            by_step[row["step"]][f"{row['split']}/{row['metric']}"] = row["value"]
        for row in _rows(tables, "scores"):
            inside = bin_label(row["low"], row["high"])
            by_step[row["step"]][f"scores/{row['metric']}/{row['by']}={inside}"] = row["value"]
        norms: dict[tuple[int, int, str], list[float]] = collections.defaultdict(list)
        for row in _rows(tables, "gradient_flow"):
            norms[row["step"], row["layer"], row["state"]].append(row["norm"])
        for (at, layer, state), over_time in norms.items():
            by_step[at][f"gradient_flow/layer{layer}/{state}"] = _histogram(over_time)
        for at in sorted(by_step):  # wandb drops a step that goes backwards
            self._run.log(by_step[at], step=at)

    def finish(self, status: str) -> None:
        """Closes the run; "diverged" counts as failed there."""
        self._run.summary["status"] = status
        self._run.finish(exit_code=0 if status == "finished" else 1)


def has_account() -> bool:
    """Returns whether wandb has an API key, from the environment or from `wandb login`."""
    if os.environ.get("WANDB_API_KEY"):
        return True
    host = urlparse(os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai")).hostname or ""
    path = os.environ.get("NETRC") or Path.home() / ".netrc"
    with contextlib.suppress(OSError, netrc.NetrcParseError):
        return netrc.netrc(str(path)).authenticators(host) is not None
    return False


def _check(argument: str, name: Any, most: int) -> None:
    """Raises a ValueError if the server would not take a name."""
    if name is not None and not (isinstance(name, str) and name.strip() and len(name) <= most):
        got = f"one of {len(name)}" if isinstance(name, str) and name.strip() else repr(name)
        raise ValueError(f"{argument}: expected a text of 1 to {most} characters, got {got}")


def _name(config: Mapping[str, Any], runs: int) -> str:
    """What Weights & Biases calls a run: `adding-lstm-seed0`, or `adding-lstm-100-runs` of a population."""
    which = f"-seed{config['seed']}" if runs == 1 else f"-{runs}-runs"
    return f"{config['task']['name']}-{config['model']['name']}"[: MAX_NAME - len(which)] + which


def _rows(tables: Mapping[str, pa.Table], name: str) -> list[dict[str, Any]]:
    return tables[name].to_pylist() if name in tables else []


def _histogram(norms: Sequence[float]) -> Any:
    """Returns a `wandb.Histogram` with a bar for each time step, or for the mean of several if there are many."""
    import wandb

    edges = np.linspace(0, len(norms), min(len(norms), MAX_BINS) + 1)
    means = np.array([np.mean(part) for part in np.split(np.array(norms), edges[1:-1].astype(int))])
    return wandb.Histogram(np_histogram=(means, edges))
