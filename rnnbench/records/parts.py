"""Parts of a table while its job trains: one file per segment, named after the segment's last step."""

import re
from pathlib import Path

from rnnbench.errors import UserError


def part_name(table: str, step: int) -> str:
    """Returns the path in the job folder of the part that ended at `step`."""
    return f"{table}/{step:08d}.parquet"


def part_step(path: Path) -> int:
    """Returns the step at which a part ended."""
    return int(path.stem)


def is_part(path: Path) -> bool:
    """Returns whether a file is named like a part."""
    return re.fullmatch(r"\d{8,}\.parquet", path.name) is not None


def part_paths(folder: Path, table: str) -> list[Path]:
    """Returns the parts of a table in the order of their steps; none if there is no folder for them.

    Raises:
        UserError: there is a file among them, or in place of their folder, that rnnbench did not write.
    """
    try:
        paths = [path for path in (folder / table).iterdir() if path.suffix == ".parquet"]
    except FileNotFoundError:
        return []
    except NotADirectoryError as error:
        raise UserError(f"{folder / table} is a file; a job folder has a folder of that name") from error
    for path in paths:
        if not is_part(path):
            raise UserError(f"{path} is no file of rnnbench (its parts are named like 00000100.parquet); move it away")
    return sorted(paths, key=part_step)
