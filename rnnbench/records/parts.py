"""Parts: where a table's rows are while its job trains, a file for each segment, named by the step that ended it."""

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
    """Returns the parts of a table in the order of their steps; none where there is no folder of them.

    Raises:
        UserError: a file stands among them, or in the place of their folder, that rnnbench did not write.
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
