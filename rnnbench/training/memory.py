"""How much memory a program needs, and how much there is."""

import contextlib
import os
from pathlib import Path

import jax
from jaxtyping import PyTree

from rnnbench.config.messages import LESS_MEMORY
from rnnbench.errors import UserError

CGROUP_LIMIT = Path("/sys/fs/cgroup/memory.max")
"""A container's limit, in bytes or "max"."""


def require(needed: int, what: str) -> None:
    """Checks that something fits into memory, before the system would end the process for it.

    Args:
        needed: its bytes, on all devices together.
        what: what needs them, for the message.

    Raises:
        UserError: there are fewer bytes.
    """
    there = _bytes()
    if there is not None and needed > there:
        raise UserError(
            f"not enough memory: {what} needs {_in_words(needed)}, and there are {_in_words(there)}; {LESS_MEMORY}"
        )


def size_of(tree: PyTree) -> int:
    """Returns the bytes of arrays, or of their shapes and types."""
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree))


def _bytes() -> int | None:
    """Returns the bytes of all devices' memory, or of the machine's if these are CPU devices; None if unknown."""
    devices = jax.devices()
    if devices[0].platform != "cpu":
        limits = [(device.memory_stats() or {}).get("bytes_limit", 0) for device in devices]
        return sum(limits) if all(limits) else None
    found = []
    with contextlib.suppress(OSError, ValueError, AttributeError):  # not on Windows
        found.append(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    with contextlib.suppress(OSError, ValueError):
        found.append(int(CGROUP_LIMIT.read_text()))
    return min(found, default=None)


def _in_words(size: int) -> str:
    return f"{size / 1e9:,.0f} GB" if size >= 1e10 else f"{size / 1e6:,.0f} MB"
