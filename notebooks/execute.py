"""Runs notebooks from top to bottom and stores them with their outputs: `python notebooks/execute.py [NAME ...]`.

Without names, all of them. What they train is kept in `notebooks/results`, and not trained again; remove the folder to
start from nothing. Nothing volatile is stored: neither times nor names of a kernel.
"""

import os
import sys
import time
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

HERE = Path(__file__).resolve().parent
TIMEOUT = 300
"""Seconds that one cell may take."""


def execute(path: Path) -> None:
    """Runs one notebook in its folder, and stores it.

    Raises:
        CellExecutionError: a cell failed; nothing is stored.
    """
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(
        notebook,
        timeout=TIMEOUT,
        kernel_name="python3",
        record_timing=False,
        extra_arguments=["--log-level=ERROR"],
        resources={"metadata": {"path": str(path.parent)}},
    )
    client.execute()
    notebook.metadata = nbformat.from_dict(
        {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        }
    )
    for cell in notebook.cells:
        cell.metadata = nbformat.from_dict({})
        if cell.cell_type == "code":
            cell.outputs = _joined(cell.outputs)
    nbformat.write(notebook, path)


def _joined(outputs: list[Any]) -> list[Any]:
    """Outputs without their metadata, what was printed in several pieces as one."""
    kept: list[Any] = []
    for output in outputs:
        if "metadata" in output:
            output.metadata = nbformat.from_dict({})
        if kept and output.output_type == "stream" and output.get("name") == kept[-1].get("name"):
            kept[-1].text += output.text
        else:
            kept.append(output)
    return kept


def main(names: list[str]) -> int:
    """Runs the notebooks named, or all; the exit code."""
    # `rnnbench` in a cell is the command of this interpreter's environment.
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    # What is stored is read as text: no progress bars.
    os.environ["TTY_COMPATIBLE"] = "0"
    found = {path.stem: path for path in sorted(HERE.glob("*.ipynb"))}
    for name in names or list(found):
        began = time.monotonic()
        try:
            execute(found[Path(name).stem])
        except CellExecutionError as error:
            print(f"{name}: {error}", file=sys.stderr)
            return 1
        print(f"{name}: {time.monotonic() - began:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
