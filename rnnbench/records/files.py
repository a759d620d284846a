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

from rnnbench.errors import DamagedError, UserError
from rnnbench.records.seals import is_whole, sealed_parquet

OTHER_OUTPUT = "choose another output="


def read_file(path: Path, schema: pa.Schema | None = None, columns: list[str] | None = None) -> pa.Table:
    """Returns the table in a Parquet file, or some of its columns.

    Raises:
        FileNotFoundError: there is no such file.
        UserError: the file cannot be read, is damaged, or does not have the columns of `schema`.
    """
    # Read at once, since opening by name would go through pyarrow's slower dataset machinery.
    file = pq.ParquetFile(pa.BufferReader(read_whole(path)))
    if missing := set(columns or ()) - set(file.schema_arrow.names):
        raise DamagedError(f"{path} is no file of rnnbench: it has no column {min(missing)!r}")
    table = file.read(columns, use_threads=False)
    if schema is None:
        return table.replace_schema_metadata(file.metadata.metadata)
    if [(field.name, field.type) for field in table.schema] != [(field.name, field.type) for field in schema]:
        raise DamagedError(
            f"{path} is no file of rnnbench: expected the columns {', '.join(schema.names)}; "
            f"it has {', '.join(table.schema.names)}"
        )
    return table.cast(schema)


def read_whole(path: Path) -> bytes:
    """Returns a file's content, once its checksum has shown that it is as rnnbench wrote it.

    Raises:
        FileNotFoundError: there is no such file.
        DamagedError: the file was damaged, or changed or written by something else.
        UserError: the file cannot be read.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}") from error
    if not is_whole(path.name, content):
        raise DamagedError(
            f"{path} is damaged, or was not written by rnnbench: it does not match its checksum; "
            "give the command that wrote it again"
        )
    return content


def as_parquet(table: pa.Table, metadata: dict[str, str] | None = None, **options: Any) -> bytes:
    """Returns a table as the bytes of a Parquet file, with a checksum. Equal rows give equal bytes.

    Args:
        table: the table.
        metadata: what else is said in the file's footer.
        options: options of `pyarrow.parquet.ParquetWriter`.
    """
    buffer = io.BytesIO()
    with pq.ParquetWriter(buffer, table.schema, compression="snappy", store_schema=False, **options) as writer:
        writer.write_table(table.combine_chunks())
        writer.add_key_value_metadata(metadata or {})
    return sealed_parquet(buffer.getvalue())


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
