"""What a user can set right: reported as one message, without a traceback."""

from collections.abc import Sequence
from typing import NamedTuple


class UserError(Exception):
    """Bad input: the message says what was expected, what came and what is allowed."""

    exit_code = 2


class BusyError(UserError):
    """Another process trains this job just now.

    Attributes:
        folder: the job's.
    """

    def __init__(self, message: str, folder: str) -> None:
        super().__init__(message, folder)
        self.folder = folder

    def __str__(self) -> str:
        return str(self.args[0])


class DivergedError(UserError):
    """A run's loss became NaN or infinite; everything recorded until then is kept."""

    exit_code = 3


class Failure(NamedTuple):
    """Why a job of a sweep was not trained, as it comes back from whichever process it was in.

    Attributes:
        job: its overrides.
        message: what to tell.
        exit_code: what it means.
        held: the job's folder, where another process trains it just now.
    """

    job: str
    message: str
    exit_code: int
    held: str | None = None


class FailedJobsError(UserError):
    """Some jobs of a sweep failed; the others are trained."""

    def __init__(self, failures: Sequence[Failure], jobs: int) -> None:
        lines = [f"  {failure.job}: {failure.message}" for failure in failures]
        super().__init__("\n".join([f"{len(failures)} of {jobs} jobs failed:", *lines]))
        codes = {failure.exit_code for failure in failures}
        self.exit_code = next(code for code in (1, 3, 2) if code in codes)
