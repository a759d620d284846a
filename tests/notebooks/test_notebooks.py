"""Each notebook runs from top to bottom in a fresh copy, and its stored outputs are fit to publish."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
MAX_BYTES = 1_500_000
MAX_SECONDS = 300

every_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=[path.stem for path in NOTEBOOKS])


def code_cells(path: Path) -> list[Any]:
    return [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]


def test_there_are_four() -> None:
    names = ["01_vanishing_gradients", "02_inside_the_gates", "03_compare_cells", "04_your_own_cell"]
    assert [path.stem for path in NOTEBOOKS] == names


@every_notebook
def test_it_runs_from_nothing(path: Path, tmp_path: Path) -> None:
    """It runs in a fresh copy, as its authors ran it, where nothing is trained and no program is compiled yet."""
    shutil.copytree(path.parent, tmp_path / "notebooks", ignore=shutil.ignore_patterns("results", "__pycache__"))
    shutil.copytree(ROOT / "experiments", tmp_path / "experiments", ignore=shutil.ignore_patterns("checkpoints"))
    environment = {name: value for name, value in os.environ.items() if name != "XLA_FLAGS"}
    command = [sys.executable, str(tmp_path / "notebooks/execute.py"), path.stem]
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=MAX_SECONDS, cwd=tmp_path, check=False
    )
    assert done.returncode == 0, done.stderr
    again, kept = code_cells(tmp_path / "notebooks" / path.name), code_cells(path)
    assert all(cell.execution_count for cell in again if cell.source.strip())
    kinds = [[sorted(output.get("data", {})) for output in cell.outputs if "data" in output] for cell in again]
    assert kinds == [[sorted(output.get("data", {})) for output in cell.outputs if "data" in output] for cell in kept]


@every_notebook
def test_it_is_kept_as_it_ran(path: Path) -> None:
    cells = code_cells(path)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1)), "run it from top to bottom"
    assert not [output for cell in cells for output in cell.outputs if output.output_type == "error"]
    assert path.stat().st_size < MAX_BYTES


@every_notebook
def test_it_names_no_machine(path: Path) -> None:
    text = path.read_text()
    assert not re.findall(r"(?<![\w.])/(?:home|root|tmp|work|Users|usr|var|opt)/[\w./-]*", text)
    assert "\\u001b" not in text, "control characters of a terminal"
    notebook = nbformat.read(path, as_version=4)
    assert notebook.metadata == {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    assert not any(cell.metadata for cell in notebook.cells), "run it by notebooks/execute.py, which keeps no timings"


@every_notebook
def test_its_figures_come_from_records(path: Path) -> None:
    """A cell draws each figure, and the records it uses are trained or named in a cell above."""
    cells = code_cells(path)
    figures = [
        i for i, cell in enumerate(cells) if any("image/png" in output.get("data", {}) for output in cell.outputs)
    ]
    assert len(figures) >= 3
    assert all(re.search(r"figures\.|heatmaps\(|\.plot\(", cells[i].source) for i in figures)
    source = "\n".join(cell.source for cell in nbformat.read(path, as_version=4).cells)
    assert re.search(r"^(cd .*\n)?rnnbench .*(\\\n.*)?", source, re.MULTILINE), "a command"
    folders = {name for cell in cells for name in re.findall(r'"((?:\.\./experiments|results)/[\w/]+)"', cell.source)}
    assert folders, "records"


@every_notebook
def test_its_prose_has_equations(path: Path) -> None:
    prose = [cell.source for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "markdown"]
    assert any("$$" in text for text in prose)
    assert sum(len(text.split()) for text in prose) > 300


def test_every_figure_of_the_readmes_is_drawn() -> None:
    [path] = [path for path in NOTEBOOKS if path.stem == "03_compare_cells"]
    source = "\n".join(cell.source for cell in code_cells(path))
    pages = [ROOT / "README.md", ROOT / "experiments/quickstart/README.md", ROOT / "experiments/sweep_300/README.md"]
    embedded = {name for page in pages for name in re.findall(r"\]\(\S*?figures/(\w+)\.png\)", page.read_text())}
    drawn = {"gate_traces_lstm": "gate_traces", "learning_rates": "score_by_value", "score_by_distance": "scores_by"}
    assert "score_by_distance" in embedded
    assert not [name for name in sorted(embedded) if drawn.get(name, f"figures.{name}(") not in source]


@every_notebook
def test_its_links_lead_somewhere(path: Path) -> None:
    for cell in nbformat.read(path, as_version=4).cells:
        for target in re.findall(r"\]\(([^)#\s]+)", cell.source) if cell.cell_type == "markdown" else []:
            assert target.startswith("https://") or (path.parent / target).exists(), target
