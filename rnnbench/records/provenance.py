"""`provenance.json`: identifies a job folder, and says what each of its training sessions ran on."""

import contextlib
import json
import os
import platform
import re
from importlib import metadata
from pathlib import Path
from typing import Any

from rnnbench.errors import DamagedError, UserError
from rnnbench.records.schemas import FORMAT, VERSION
from rnnbench.records.seals import is_whole

_PACKAGES = ("rnnbench", "jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy")


def read_provenance(folder: Path) -> dict[str, Any] | None:
    """Returns a job folder's provenance, or None if there is none.

    Raises:
        DamagedError: the file is damaged, or not rnnbench's.
        UserError: the file cannot be read, or is of another version.
    """
    path = folder / "provenance.json"
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    except NotADirectoryError as error:
        file = next(above for above in (folder, *folder.parents) if above.exists())
        raise UserError(f"expected a folder for {folder.name}, got the file {file}; choose another output=") from error
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error
    found = None
    with contextlib.suppress(ValueError):
        found = json.loads(content)
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        found = None
    if found is not None and found.get("version") == VERSION and is_whole(path.name, content):
        return found
    if found is not None:
        check_version(folder, found.get("version"))
    raise DamagedError(f"{path} is not a provenance file of rnnbench, or it is damaged: it does not match its checksum")


def check_version(folder: Path, version: Any) -> None:
    """Raises a `UserError` if a folder's records are of another version."""
    if version != VERSION:
        raise UserError(
            f"{folder} holds records of format version {version}; this rnnbench knows version {VERSION}: "
            f"read it with the rnnbench that wrote it, or choose another output="
        )


def new_provenance() -> dict[str, Any]:
    """Returns the provenance of a job without sessions."""
    return {"format": FORMAT, "version": VERSION, "sessions": []}


def machine_and_packages() -> dict[str, Any]:
    """Returns what can change a run's numbers without being in its configuration: packages, Python, platform, CPU."""
    packages = {}
    for name in _PACKAGES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            packages[name] = metadata.version(name)
    cpu = platform.processor()
    with contextlib.suppress(OSError, IndexError):
        cpu = re.findall(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())[0]
    return {
        "packages": packages,
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "cpu": cpu,
        "cores": os.cpu_count(),
    }
