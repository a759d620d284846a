"""Writes the page to a file, completely or not at all."""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from markupsafe import Markup
from plotly.offline import get_plotlyjs

from rnnbench.figures.page.markup import page, source
from rnnbench.figures.page.results import about, read
from rnnbench.figures.page.sections import SECTIONS
from rnnbench.figures.probed import Draw
from rnnbench.records.files import replace, reworded

PAGE = "report.html"
"""The default file name of the page."""


def write_report(folder: Path, path: Path, drawers: Mapping[str, Sequence[Draw]]) -> Path:
    """Writes a page about the results in a folder, completely or not at all, and returns its path.

    Args:
        folder: the results folder.
        path: the file to write.
        drawers: the functions that draw each table of a probe.

    Raises:
        UserError: there are no records, or the page cannot be written.
    """
    text, advice = _page(folder, drawers), "--output chooses another file"
    with reworded(path, advice):
        path.parent.mkdir(parents=True, exist_ok=True)
    replace(path, text.encode(), advice)
    return path


def _page(folder: Path, drawers: Mapping[str, Sequence[Draw]]) -> str:
    results = read(folder, drawers)
    plotly, script = get_plotlyjs(), source("report.js")
    return page(
        title=f"rnnbench: {'/'.join(folder.resolve().parts[-2:])}",
        about=about(results),
        hashes=[Markup(_hash(text)) for text in (plotly, script)],
        style=source("report.css"),
        sections={name: draw(results) for name, draw in SECTIONS.items()},
        plotly=Markup(plotly),
        script=script,
    )


def _hash(script: str) -> str:
    """Returns the hash that lets the policy run exactly this script."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"
