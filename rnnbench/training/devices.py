"""CPU devices, and the cache of compiled programs."""

import os
from pathlib import Path

import jax
import platformdirs

from rnnbench.errors import UserError


def use_cpu_devices(count: int) -> None:
    """Makes JAX show this many CPU devices: one of them runs a scan on one core. Before JAX's first computation."""
    jax.config.update("jax_num_cpu_devices", count)


CACHE_BYTES = 2**30
"""Size of the folder of compiled programs; what was not used for longest goes first."""


def use_compilation_cache() -> None:
    """Keeps compiled programs in the user's cache folder: the same program starts sooner the next time.

    A folder that JAX was given already (`JAX_COMPILATION_CACHE_DIR`) is left as it is, and where the user's cannot be
    written, there is no cache.
    """
    if jax.config.jax_compilation_cache_dir is not None:  # type: ignore[attr-defined]
        return
    folder = Path(platformdirs.user_cache_dir("rnnbench", appauthor=False)) / "programs"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return
    if not os.access(folder, os.W_OK):
        return
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_compilation_cache_max_size", CACHE_BYTES)
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.05)


def use_devices(devices: int | None) -> None:
    """Spreads the work over this many CPU devices; None: over all cores, unless JAX is up already."""
    try:
        use_cpu_devices(devices or _cores())
    except RuntimeError:  # JAX is up: an earlier run of this process has chosen
        there = jax.local_devices()
        if devices is not None and there[0].platform == "cpu" and len(there) != devices:
            raise UserError(
                f"devices: expected {len(there)}, as in the first run of this process, got {devices}; "
                "the number of devices can't change within a process"
            ) from None


def _cores() -> int:
    """CPU cores that this process may use."""
    cores = os.cpu_count() or 1
    if hasattr(os, "sched_getaffinity"):  # Linux, where a scheduler may have given it some of them
        cores = len(os.sched_getaffinity(0))
    return min(cores, int(os.environ.get("SLURM_CPUS_PER_TASK", cores)))  # which Slurm need not enforce
