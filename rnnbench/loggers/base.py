"""What a logger is: it is started, gets tables as they are recorded, and is finished."""

import abc
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa


class Logger(abc.ABC):
    """Base class of all loggers, which send the records of one run to somewhere besides the disk.

    To add a logger of your own, derive from this class and name it as `_target_` in a YAML file in `conf/logger`; the
    other keys go to its constructor. The process that writes the records calls `start`, then `write` after every
    segment of training, then `finish`. A killed run never reaches `finish`. When it resumes, `start` is called again
    with the step from which it resumes.

    Attributes:
        max_runs: a larger population shares one logger, which gets the medians and quartiles of its runs; None: every
            run has its own logger.
    """

    max_runs: int | None = None

    @abc.abstractmethod
    def start(
        self, run_id: str, config: Mapping[str, Any], folder: Path, step: int, group: str | None, runs: int
    ) -> None:
        """Opens the run.

        Args:
            run_id: identifies the run, as in the records; the job's id if the logger serves a whole population.
            config: the run's configuration, nested. If the logger serves a whole population, this is the first run's
                configuration, with the values in which the runs differ under the key `population`.
            folder: the job folder; a logger that writes files must use its own subfolder.
            step: the training step from which the run starts (0) or resumes.
            group: name of the population that the run belongs to; None if it was trained alone.
            runs: number of runs that the logger serves: 1, or those of the whole population.

        Raises:
            UserError: the logger cannot be used; the message says what to change.
        """

    @abc.abstractmethod
    def write(self, step: int, tables: Mapping[str, pa.Table]) -> None:
        """Logs what was recorded for the segment that ended at `step`.

        Args:
            step: training steps done; the tables also contain rows of earlier steps of the segment.
            tables: tables by name, with the columns of `rnnbench.records.schemas.SCHEMAS` or of a probe. Each has at
                least one row. The logger must ignore names that it does not know.
        """

    @abc.abstractmethod
    def finish(self, status: str) -> None:
        """Closes the run.

        Args:
            status: "finished" or "diverged".
        """
