"""Checksums: each record carries a digest of all its other bytes, so that no damaged record is read.

The digest is in a place that other programs skip or ignore: in a Parquet or Arrow file between the data and the footer,
in a JSON file the value of the last key, `checksum`, and in a YAML file a comment on the last line. A
checkpoint, which another library writes, has a file of its own for it.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

_DIGEST = 64

_MAGIC = {".parquet": len(b"PAR1"), ".arrow": len(b"ARROW1")}
"""Length of the mark at the end of a file."""

_LAST = {".json": len('"\n}\n'), ".yaml": len("\n")}
"""Length of what follows the digest."""

CHECKSUM = "checksum"
"""The file in a folder, such as a checkpoint, that has the digest of its other files."""


def sealed_parquet(content: bytes) -> bytes:
    """Returns the bytes of a Parquet file with their digest."""
    return _sealed(content, _after(".parquet", content))


def sealed_arrow(content: bytes) -> bytes:
    """Returns the bytes of an Arrow IPC file with their digest."""
    return _sealed(content, _after(".arrow", content))


def sealed_json(value: Mapping[str, Any]) -> bytes:
    """Returns a JSON file with its digest."""
    content = (json.dumps({**value, "checksum": ""}, indent=1) + "\n").encode()
    return _sealed(content, _after(".json", content))


def sealed_yaml(value: dict[str, Any]) -> bytes:
    """Returns a YAML file with its digest."""
    content = yaml.safe_dump(value, sort_keys=False).encode() + b"# checksum: \n"
    return _sealed(content, _after(".yaml", content))


def is_whole(name: str, content: bytes) -> bool:
    """Returns whether a file is as rnnbench wrote it, from its name or path, and its content."""
    end = len(content) - _after(name[name.rfind(".") :], content)
    start = end - _DIGEST
    return start >= 0 and _digest(content, start, end) == content[start:end]


def folder_digest(folder: Path) -> bytes:
    """Returns a digest of the names and contents of a folder's files, except `CHECKSUM`.

    Raises:
        FileNotFoundError: a file was deleted meanwhile.
    """
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path != folder / CHECKSUM:
            content = path.read_bytes()
            digest.update(f"{path.relative_to(folder).as_posix()} {len(content)}\n".encode())
            digest.update(content)
    return digest.hexdigest().encode()


def is_whole_folder(folder: Path) -> bool:
    """Returns whether a folder is as rnnbench sealed it: its digest is in the file `CHECKSUM`."""
    try:
        return (folder / CHECKSUM).read_bytes() == folder_digest(folder)
    except FileNotFoundError:
        return False


def _sealed(content: bytes, after: int) -> bytes:
    at = len(content) - after
    return content[:at] + _digest(content, at, at) + content[at:]


def _digest(content: bytes, start: int, end: int) -> bytes:
    """Returns the digest of the content without what is between `start` and `end`."""
    view = memoryview(content)
    digest = hashlib.sha256(view[:start])
    digest.update(view[end:])
    return digest.hexdigest().encode()


def _after(suffix: str, content: bytes) -> int:
    """Returns the number of bytes that follow the digest in a file with this suffix."""
    if suffix in _LAST:
        return _LAST[suffix]
    # The footer, its length in four bytes, and the format's mark.
    end = len(content) - _MAGIC[suffix]
    return _MAGIC[suffix] + 4 + int.from_bytes(content[max(end - 4, 0) : end], "little")
