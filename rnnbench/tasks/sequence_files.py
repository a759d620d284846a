"""Sequences in files: NumPy archives and Parquet files."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Int, Shaped


class Sequences(NamedTuple):
    """Sequences with their targets, padded to the longest.

    Attributes:
        inputs: token ids or features.
        targets: one for each sequence, or one for each step.
        lengths: the number of steps of each sequence.
    """

    inputs: Shaped[np.ndarray, "sequences time ..."]
    targets: Shaped[np.ndarray, "sequences ..."]
    lengths: Int[np.ndarray, " sequences"]


def read_sequences(path: Path, names: dict[str, str | None]) -> Sequences:
    """Returns the sequences in a file.

    Args:
        path: a `.npz` or `.parquet` file.
        names: the names of the columns that hold the inputs, the targets and, if there is one, the lengths.

    Raises:
        ValueError: the file is missing or not as `UserData` describes it.
    """
    readers = {".npz": _read_npz, ".parquet": _read_parquet}
    if path.suffix not in readers:
        raise ValueError(f"path: expected a .npz or .parquet file, got {path}")
    if not path.is_file():
        raise ValueError(f"path: there is no file {path}")
    wanted = {what: name for what, name in names.items() if name is not None}
    try:
        columns = readers[path.suffix](path, wanted)
    except KeyError as error:
        raise ValueError(f"{path}: there is no column {error}; columns can be renamed by task.inputs=NAME") from error
    return _checked(path, columns)


def _read_npz(path: Path, names: dict[str, str]) -> dict[str, np.ndarray]:
    try:
        with np.load(path, allow_pickle=False) as archive:
            missing = [name for name in names.values() if name not in archive]
            if missing:
                raise KeyError(missing[0])
            return {what: archive[name] for what, name in names.items()}
    except (OSError, EOFError, ValueError) as error:
        raise ValueError(f"{path}: not a NumPy archive of numbers ({error})") from error


def _read_parquet(path: Path, names: dict[str, str]) -> dict[str, np.ndarray]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise ValueError(f"{path}: not a Parquet file ({str(error).splitlines()[0]})") from error
    missing = [name for name in names.values() if name not in table.column_names]
    if missing:
        raise KeyError(missing[0])
    rows = {what: table[name].to_pylist() for what, name in names.items()}
    if any(value is None for column in rows.values() for value in column):
        raise ValueError(f"{path}: expected a value in every row, got an empty one")
    if rows["inputs"] and all(isinstance(row, list) for row in rows["inputs"]):
        rows.setdefault("lengths", [len(row) for row in rows["inputs"]])
    return {what: _padded(path, what, column) for what, column in rows.items()}


def _padded(path: Path, what: str, rows: list[Any]) -> np.ndarray:
    """Returns rows as one array, lists filled up with zeros."""
    if not any(isinstance(row, list) for row in rows):
        return np.array(rows)
    longest = max(len(row) for row in rows)
    width = next((len(step) for row in rows for step in row if isinstance(step, list)), None)
    empty = 0 if width is None else [0.0] * width
    try:
        return np.array([[*row, *[empty] * (longest - len(row))] for row in rows])
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path}: {what}: expected lists of numbers, or of as many numbers each") from error


def _checked(path: Path, columns: dict[str, np.ndarray]) -> Sequences:
    """Returns the columns with their types made uniform.

    Raises:
        ValueError: they are not as described in `UserData`.
    """
    found = {}
    for what, column in columns.items():
        if column.dtype.kind not in "iufb":
            raise ValueError(f"{path}: {what}: expected numbers, got {column.dtype}")
        whole = column.dtype.kind in "iub"
        with np.errstate(over="ignore"):
            found[what] = column.astype(np.int32 if whole else np.float32)
        if not (np.isfinite(found[what]).all() and np.array_equal(found[what], column) | (not whole)):
            raise ValueError(f"{path}: {what}: expected finite numbers within 32 bits")
        if whole and column.size and column.min() < 0:
            raise ValueError(f"{path}: {what}: whole numbers are ids from 0 on, got {column.min()}; or write 1.0 for 1")
    inputs, targets = found["inputs"], found["targets"]
    if inputs.dtype.kind == "f" and inputs.ndim == 2:
        inputs = inputs[..., None]
    if inputs.ndim != (2 if inputs.dtype.kind == "i" else 3) or not inputs.size:
        raise ValueError(
            f"{path}: inputs: expected (sequences, time) or (sequences, time, features), got {inputs.shape}"
        )
    if targets.shape not in (inputs.shape[:1], inputs.shape[:2]):
        raise ValueError(
            f"{path}: targets: expected one for each of {inputs.shape[0]} sequences, or for each of their "
            f"{inputs.shape[1]} steps, got the shape {targets.shape}"
        )
    lengths = found.get("lengths", np.full(inputs.shape[0], inputs.shape[1], np.int32))
    if lengths.shape != inputs.shape[:1] or lengths.min() < 1 or lengths.max() > inputs.shape[1]:
        raise ValueError(f"{path}: lengths: expected a number from 1 to {inputs.shape[1]} for each sequence")
    return Sequences(inputs, targets, lengths.astype(np.int32))
