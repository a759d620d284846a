"""Errors that a user can fix: reported as one message, without a traceback."""

from collections.abc import Sequence
from typing import NamedTuple


class UserError(Exception):
    """Bad input. The message says what was expected, what was given and what is allowed."""

    exit_code = 2


class InapplicableError(UserError):
    """Two valid choices do not go together. A sweep leaves such a combination out and says so."""


class DamagedError(UserError):
    """A file is not as rnnbench wrote it."""


class BusyError(UserError):
    """Another process is training this job.

    Attributes:
        folder: the job's folder.
    """

    def __init__(self, message: str, folder: str) -> None:
        super().__init__(message, folder)
        self.folder = folder

    def __str__(self) -> str:
        return str(self.args[0])


class DivergedError(UserError):
    """A run's loss became NaN or infinite. Everything recorded before is kept."""

    exit_code = 3


class Failure(NamedTuple):
    """Why a job of a sweep was not trained, in a form that can be passed between processes.

    Attributes:
        job: the job's overrides.
        message: the message for the user.
        exit_code: the exit code for this kind of failure.
        held: the job's folder, if another process is training the job; otherwise None.
    """

    job: str
    message: str
    exit_code: int
    held: str | None = None


class FailedJobsError(UserError):
    """Some jobs of a sweep failed. The others were trained."""

    def __init__(self, failures: Sequence[Failure], jobs: int) -> None:
        lines = [f"  {failure.job}: {failure.message}" for failure in failures]
        super().__init__("\n".join([f"{len(failures)} of {jobs} jobs failed:", *lines]))
        codes = {failure.exit_code for failure in failures}
        self.exit_code = next(code for code in (1, 3, 2) if code in codes)
