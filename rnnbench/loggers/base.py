"""What a logger is: it is started, gets tables as they are recorded, and is finished."""

import abc
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa


class Logger(abc.ABC):
    """Base of all loggers: takes the records of one run to somewhere else than the disk.

    A logger of your own derives from it and is chosen by a YAML in `conf/logger` that names it in `_target_`. Its
    constructor takes the other keys of that node. It is called by the process that writes the records, in this order:
    `start`, `write` after every segment of training, `finish`. A run that is killed never reaches `finish`; resumed,
    it is started again with the step from which it resumes.

    Attributes:
        max_runs: in a population of more runs, one logger gets the medians and quartiles of all of them, and no run
            has a logger of its own; None: every run has its own, however many they are.
    """

    max_runs: int | None = None

    @abc.abstractmethod
    def start(
        self, run_id: str, name: str, config: Mapping[str, Any], folder: Path, step: int, group: str | None
    ) -> None:
        """Opens the run.

        Args:
            run_id: identifies the run, as in the records; the job's id where the logger serves a whole population.
            name: what to call the run where people see it.
            config: the run's configuration, nested. Where the logger serves a whole population, it is that of the
                first run, with the values in which the runs differ under the key `population`.
            folder: the job folder; a logger that writes files writes them below it, in a folder of its own.
            step: the training step from which the run starts, 0, or resumes.
            group: names the population that the run belongs to; None: it was trained by itself.

        Raises:
            UserError: the logger cannot be used; the message says what to change.
        """

    @abc.abstractmethod
    def write(self, step: int, tables: Mapping[str, pa.Table]) -> None:
        """Takes what was recorded of this run for the segment that ended at `step`.

        Args:
            step: training steps done; rows of earlier steps of the segment are among the tables.
            tables: by name, tables with the columns of `rnnbench.records.schemas.SCHEMAS`. Each has at least one row;
                names that the logger does not know are to be ignored.
        """

    @abc.abstractmethod
    def finish(self, status: str) -> None:
        """Closes the run.

        Args:
            status: "finished" or "diverged".
        """
