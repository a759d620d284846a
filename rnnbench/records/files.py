"""Single files: written completely or not at all, and read with errors that name the file."""

import contextlib
import errno
import functools
import io
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from rnnbench.errors import DamagedError, UserError
from rnnbench.records.seals import is_whole, sealed_arrow, sealed_parquet

OTHER_OUTPUT = "choose another output="

ROWS = 1 << 13
"""Rows in a group of a Parquet file: tables of any length are merged with no more than two groups in memory."""


def read_file(path: Path, schema: pa.Schema | None = None) -> pa.Table:
    """Returns the table in a Parquet file.

    Raises:
        FileNotFoundError: there is no such file.
        UserError: the file cannot be read, is damaged, or does not have the columns of `schema`.
    """
    content = read_whole(path)
    with _named(path):
        # Read at once, since opening by name would go through pyarrow's slower dataset machinery.
        table = pq.ParquetFile(pa.BufferReader(content)).read(use_threads=False)
    return table if schema is None else _as_declared(path, table, schema)


def read_batches(path: Path | str, check: Callable[[pa.Schema], None]) -> tuple[pa.Schema, list[pa.RecordBatch]]:
    """Returns the schema of an Arrow file, with its metadata, and the file's rows.

    Files with equal schemas share one object: many runs have the same, and decoding it takes longer than their rows.

    Args:
        path: the file.
        check: raises a ValueError for a schema that is not wanted. It is called once for equal schemas.

    Raises:
        FileNotFoundError: there is no such file.
        UserError: the file cannot be read, is damaged, or has a schema that is not wanted.
    """
    content = read_whole(path)
    with _named(path):
        # The file's mark, in eight bytes, and then what a stream would have: a message with the schema, and one for
        # each batch. A message begins with a mark and its length.
        end = 16 + int.from_bytes(content[12:16], "little")
        schema = _schema(content[8:end], check)
        messages = pa.ipc.MessageReader.open_stream(pa.py_buffer(content[end:]))
        batches = [pa.ipc.read_record_batch(message, schema) for message in messages]
        for batch in batches:
            # Arrow itself trusts the offsets in a file, which somebody else may have written.
            batch.validate(full=True)
    return schema, batches


def read_groups(path: Path, schema: pa.Schema | None = None) -> Iterator[pa.Table]:
    """Yields the rows of a Parquet file, group by group. Otherwise as `read_file`."""
    content = read_whole(path)
    with _named(path):
        file = pq.ParquetFile(pa.BufferReader(content))
        for i in range(file.num_row_groups):
            table = file.read_row_group(i, use_threads=False)
            yield table if schema is None else _as_declared(path, table, schema)


@contextlib.contextmanager
def _named(path: Path | str) -> Iterator[None]:
    """Names the file in an error of Arrow, which has no common class."""
    try:
        yield
    except (pa.ArrowException, OSError, ValueError) as error:
        raise DamagedError(f"{path} is no file of rnnbench: {error}") from error
    except KeyError as error:  # a column is missing, or there twice
        raise DamagedError(f"{path} is no file of rnnbench: {error.args[0]}") from error


def _as_declared(path: Path, table: pa.Table, schema: pa.Schema) -> pa.Table:
    """Returns the table with the nullability of `schema`, whose columns it must have."""
    if [(field.name, field.type) for field in table.schema] != [(field.name, field.type) for field in schema]:
        raise DamagedError(
            f"{path} is no file of rnnbench: expected the columns {', '.join(schema.names)}; "
            f"it has {', '.join(table.schema.names)}"
        )
    return table.cast(schema)


@functools.lru_cache(maxsize=16)
def _schema(message: bytes, check: Callable[[pa.Schema], None]) -> pa.Schema:
    """Returns the schema in a message, checked."""
    schema = pa.ipc.read_schema(pa.py_buffer(message))
    if len({*schema.names}) < len(schema.names):
        raise ValueError("two of its columns have the same name")
    for text in (schema.metadata or {}).values():
        text.decode()  # raises a ValueError here, where it is known in which file
    check(schema)
    return schema


def read_whole(path: Path | str) -> bytes:
    """Returns a file's content, once its checksum has shown that it is as rnnbench wrote it.

    Raises:
        FileNotFoundError: there is no such file.
        NotADirectoryError: its folder is a file.
        DamagedError: the file was damaged, or changed or written by something else.
        UserError: the file cannot be read.
    """
    try:
        with open(path, "rb", buffering=0) as file:  # faster than Path.read_bytes, and there may be very many files
            content = file.read()
    except (FileNotFoundError, NotADirectoryError):
        raise
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}") from error
    except ValueError as error:  # no file can have some names, such as those with a NUL
        raise FileNotFoundError(path) from error
    if not is_whole(str(path), content):
        raise DamagedError(
            f"{path} is damaged, or was not written by rnnbench: it does not match its checksum; "
            "give the command that wrote it again"
        )
    return content


def as_parquet(tables: Iterable[pa.Table]) -> bytes:
    """Returns the rows of one or more tables as the bytes of a Parquet file with a checksum.

    Equal rows give equal bytes, whichever tables they come in.
    """
    buffer = io.BytesIO()
    groups = _in_groups(tables)
    first = next(groups)
    with pq.ParquetWriter(buffer, first.schema, compression="snappy", store_schema=False) as writer:
        writer.write_table(first)
        for group in groups:
            writer.write_table(group)
    return sealed_parquet(buffer.getvalue())


def _in_groups(tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """Yields the rows of tables in tables of `ROWS` rows; the last one may be shorter."""
    rest = None
    for table in tables:
        rest = table if rest is None else pa.concat_tables([rest, table])
        while rest.num_rows > ROWS:
            yield rest.slice(0, ROWS).combine_chunks()
            rest = rest.slice(ROWS)
    if rest is not None:
        yield rest.combine_chunks()


def as_arrow(table: pa.Table, metadata: Mapping[str, str]) -> bytes:
    """Returns a table, with metadata, as the bytes of an Arrow IPC file with a checksum.

    It is larger than a Parquet file, but a table with many columns and few rows is read in a tenth of the time.
    """
    table = table.combine_chunks().replace_schema_metadata(dict(metadata))
    buffer = io.BytesIO()
    with pa.ipc.new_file(buffer, table.schema) as writer:
        writer.write_table(table)
    return sealed_arrow(buffer.getvalue())


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
