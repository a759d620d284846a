"""Files of a job folder: written whole or not at all, and read with an error that names them."""

import contextlib
import errno
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from rnnbench.errors import UserError


def read_file(path: Path, schema: pa.Schema | None = None, columns: list[str] | None = None) -> pa.Table:
    """One Parquet file; `UserError` with its name where it is broken or has not the columns of `schema`."""
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
    """A table as one Parquet file: the same rows give the same bytes."""
    buffer = io.BytesIO()
    pq.write_table(table.combine_chunks(), buffer, compression="snappy", store_schema=False, **options)
    return buffer.getvalue()


def is_temporary(path: Path) -> bool:
    return path.name.startswith(".") and path.name.endswith(".tmp")


@contextlib.contextmanager
def reworded(path: Path) -> Iterator[None]:
    """Operating system errors as a `UserError` that says which path failed and why."""
    try:
        yield
    except OSError as error:
        advice = (
            "free some space, then give the same command again"
            if error.errno in (errno.ENOSPC, errno.EDQUOT)
            else "choose another output="
        )
        raise UserError(
            f"cannot write {path}: {error.strerror or error}; what was recorded before is kept; {advice}"
        ) from error
