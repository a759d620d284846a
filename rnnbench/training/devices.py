"""CPU devices, and the cache of compiled programs."""

import os
from pathlib import Path

import jax
import platformdirs

from rnnbench.errors import UserError


def use_cpu_devices(count: int) -> None:
    """Sets the number of JAX's CPU devices (each runs a scan on one core). Call it before the first computation."""
    jax.config.update("jax_num_cpu_devices", count)


CACHE_BYTES = 2**30
"""Maximum size of the folder of compiled programs; the least recently used ones are deleted first."""


def use_compilation_cache() -> None:
    """Keeps compiled programs in the user's cache folder, so that the same program starts sooner the next time.

    A cache folder that JAX already has (`JAX_COMPILATION_CACHE_DIR`) is kept. If the user's folder cannot be written,
    there is no cache.
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
    """Uses this many CPU devices; None means one per core, unless JAX has already started.

    Raises:
        UserError: JAX has already started with another number of devices, or Slurm's number of cores is none.
    """
    try:
        use_cpu_devices(devices or _cores())
    except RuntimeError:  # JAX has started: an earlier run in this process has chosen
        there = jax.local_devices()
        if devices is not None and there[0].platform == "cpu" and len(there) != devices:
            raise UserError(
                f"devices: expected {len(there)}, as in the first run of this process, got {devices}; "
                "the number of devices can't change within a process"
            ) from None


def start_devices() -> None:
    """Starts JAX's devices, which its first computation would start otherwise.

    Raises:
        UserError: JAX cannot use the platform that `JAX_PLATFORMS` names.
    """
    try:
        jax.devices()
    except Exception as error:  # each platform fails in its own way
        wanted = jax.config.jax_platforms  # type: ignore[attr-defined]
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise UserError(
            f"JAX_PLATFORMS: JAX cannot use {wanted!r} here; unset it, and JAX chooses itself: {reason}"
        ) from error


def _cores() -> int:
    """Returns the number of CPU cores that this process may use."""
    cores = os.cpu_count() or 1
    if hasattr(os, "sched_getaffinity"):  # Linux, where a scheduler may have limited them
        cores = len(os.sched_getaffinity(0))
    given = os.environ.get("SLURM_CPUS_PER_TASK", str(cores))  # Slurm may not enforce it
    if not given.isdecimal() or int(given) < 1:
        raise UserError(f"SLURM_CPUS_PER_TASK: expected a whole number, 1 or more, got {given!r}; Slurm sets it itself")
    return min(cores, int(given))
