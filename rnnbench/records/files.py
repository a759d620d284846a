"""Single files: written completely or not at all, and read with errors that name the file."""

import contextlib
import errno
import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from rnnbench.errors import UserError

OTHER_OUTPUT = "choose another output="


def read_file(path: Path, schema: pa.Schema | None = None, columns: list[str] | None = None) -> pa.Table:
    """Returns the table in a Parquet file, or some of its columns.

    Raises:
        FileNotFoundError: there is no such file.
        UserError: the file cannot be read, is broken, or does not have the columns of `schema`.
    """
    try:
        # Read at once, since opening by name would go through pyarrow's slower dataset machinery.
        table = pq.ParquetFile(pa.BufferReader(path.read_bytes())).read(columns, use_threads=False)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}") from error
    except pa.ArrowException as error:
        raise UserError(f"{path} is broken ({error}); delete it, or its folder, and train again") from error
    if schema is not None and table.schema.names != schema.names:
        raise UserError(
            f"{path} is no file of rnnbench: expected the columns {', '.join(schema.names)}; "
            f"it has {', '.join(table.schema.names)}"
        )
    return table if schema is None else table.cast(schema)


def as_parquet(table: pa.Table, **options: Any) -> bytes:
    """Returns a table as the bytes of a Parquet file. Equal rows give equal bytes."""
    buffer = io.BytesIO()
    pq.write_table(table.combine_chunks(), buffer, compression="snappy", store_schema=False, **options)
    return buffer.getvalue()


def replace(path: Path, content: bytes, advice: str = OTHER_OUTPUT) -> None:
    """Writes or replaces a file atomically: a temporary file beside it is written, synced and renamed.

    The file's folder may be missing, but not the folder's parent.

    Raises:
        UserError: the file cannot be written; `advice` says what to do. An existing file is kept.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with reworded(path, advice):
        path.parent.mkdir(exist_ok=True)
        try:
            with open(temporary, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        except OSError:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise
        _sync_names(path.parent)


def is_temporary(path: Path) -> bool:
    """Returns whether `replace` created this file: it is left over from a kill, unless a process is writing now."""
    return path.name.startswith(".") and path.name.endswith(".tmp")


@contextlib.contextmanager
def reworded(path: Path, advice: str = OTHER_OUTPUT) -> Iterator[None]:
    """Converts an operating system error to a `UserError` that says which path failed, why, and what to do."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            advice = "free some space, then give the same command again"
        raise UserError(
            f"cannot write {path}: {error.strerror or error}; what was recorded before is kept; {advice}"
        ) from error


def _sync_names(folder: Path) -> None:
    """Makes a new name in a folder survive a power cut, except on Windows, where folders cannot be opened."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
