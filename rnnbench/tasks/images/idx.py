"""The files of MNIST and its successors: IDX, as it is or compressed by gzip."""

import gzip
import math
import zlib
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

UNSIGNED_BYTE = 8


def read_idx(path: Path, dimensions: int) -> UInt8[np.ndarray, "*shape"]:
    """Returns the array of bytes in an IDX file.

    The file is two zeros, the type of its numbers (8 for bytes), the number of its dimensions, each of them as four
    bytes, the highest first, and then the numbers.

    Args:
        path: the file; if its first bytes say so, it is decompressed.
        dimensions: how many there have to be: 3 for images, 1 for labels.

    Raises:
        ValueError: the file is something else, is cut short, or has bytes left over.
    """
    content = path.read_bytes()
    if content[:2] == b"\x1f\x8b":
        try:
            content = gzip.decompress(content)
        except (OSError, EOFError, zlib.error) as error:
            raise ValueError(f"{path}: not a whole gzip file ({error})") from error
    zeros, kind, found = content[:2], content[2:3], content[3:4]
    if zeros != b"\x00\x00" or kind != bytes([UNSIGNED_BYTE]) or not found:
        start = content[:4].hex(" ") or "nothing"
        raise ValueError(f"{path}: expected an IDX file of bytes, which starts with 00 00 08, got {start}")
    if found[0] != dimensions:
        what = {1: "labels", 3: "images"}
        raise ValueError(
            f"{path}: expected {what[dimensions]} ({dimensions} dimension{'s' * (dimensions > 1)}), got {found[0]} "
            f"dimensions{f', as {what[found[0]]} have' if found[0] in what else ''}"
        )
    header = 4 + 4 * dimensions
    shape = tuple(np.frombuffer(content[4:header], ">u4").tolist()) if len(content) >= header else ()
    if not shape or len(content) != header + math.prod(shape):
        expected = header + math.prod(shape) if shape else header
        raise ValueError(f"{path}: expected {expected} bytes, as its first ones say, got {len(content)}")
    return np.frombuffer(content, np.uint8, offset=header).reshape(shape)
