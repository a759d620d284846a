"""Parts of a table while its job trains: each has the rows of one or more segments, and is named after their steps.

Every segment adds a part to a table, and parts of about the same size are merged. As in a counter of base `FAN`, a
table has fewer than `FAN` parts of each size, so that their number grows with the logarithm of the number of segments.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from rnnbench.errors import UserError

FAN = 16
"""Number of parts that are merged into one."""


class Part(NamedTuple):
    """A part of a table.

    Attributes:
        table: the table's name.
        first: the first training step of its segments; 0 is the evaluation before training.
        last: the last training step.
    """

    table: str
    first: int
    last: int

    @property
    def name(self) -> str:
        """Returns the part's path in the job folder."""
        return f"{self.table}/{self.first:08d}-{self.last:08d}.parquet"

    @property
    def size(self) -> int:
        """Returns the number of training steps."""
        return self.last - self.first + 1

    def covers(self, other: "Part") -> bool:
        """Returns whether this part has the rows of another part of the same table."""
        return self.first <= other.first and other.last <= self.last


def as_part(name: str) -> Part | None:
    """Returns the part that a file is by its path in the job folder, such as `metrics/00000001-00000100.parquet`."""
    found = re.fullmatch(r"([^/]+)/(\d{8,})-(\d{8,})\.parquet", name)
    return Part(found[1], int(found[2]), int(found[3])) if found else None


def parts_of(folder: Path, table: str) -> list[Part]:
    """Returns the parts of a table in the order of their steps; none if there is no folder for them.

    A part is left out if another one covers it: a process was killed before it had deleted the parts that it merged.

    Raises:
        UserError: there is a file among them, or in place of their folder, that rnnbench did not write.
    """
    try:
        paths = [path for path in (folder / table).iterdir() if path.suffix == ".parquet"]
    except FileNotFoundError:
        return []
    except NotADirectoryError as error:
        raise UserError(f"{folder / table} is a file; a job folder has a folder of that name") from error
    found: list[Part] = []
    for path in paths:
        part = as_part(f"{table}/{path.name}")
        if part is None:
            raise UserError(
                f"{path} is no file of rnnbench (its parts are named like 00000001-00000100.parquet); move it away"
            )
        found.append(part)
    kept: list[Part] = []
    for part in sorted(found, key=lambda part: (part.first, -part.last)):
        if not kept or part.last > kept[-1].last:
            kept.append(part)
    return kept


def to_merge(parts: Sequence[Part]) -> Sequence[Part]:
    """Returns which of a table's parts are due to be merged into one: its last `FAN`, or none.

    They are due if they are of about one size: a merge makes a part about `FAN` times as large, but the first part, and
    one that was cut when training resumed, are smaller than others that were merged as often.
    """
    last = parts[-FAN:]
    return last if len(last) == FAN and last[0].size < FAN / 2 * last[-1].size else []
