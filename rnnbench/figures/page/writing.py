"""Writes the page into a file, whole or not at all."""

import base64
import contextlib
import hashlib
import os
import sys
from pathlib import Path

from markupsafe import Markup
from plotly.offline import get_plotlyjs

from rnnbench.config.messages import describe
from rnnbench.errors import UserError
from rnnbench.figures.page.markup import page, source
from rnnbench.figures.page.results import about, read
from rnnbench.figures.page.sections import SECTIONS

PAGE = "report.html"
"""The page's name, unless another is asked for."""


def write_report(folder: Path, path: Path) -> Path:
    """Writes the page of the results in a folder, whole or not at all; returns its path.

    Raises:
        UserError: there are no records, or the page cannot be written.
    """
    text = _page(folder)
    temporary = path.parent / f".{path.name}.{os.getpid()}.tmp"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(text, encoding="utf-8")
        os.replace(temporary, path)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise UserError(f"cannot write {path}: {error.strerror}; --output chooses another file") from error
    return path


def report_sweep(output: Path) -> None:
    """Writes the page of what a sweep has trained into its folder; prints what prevents it, and fails for nothing."""
    try:
        print(f"written: {write_report(output, output / PAGE)}", file=sys.stderr)
    except Exception as error:  # a bug here, too: what was trained is what counts
        print(f"rnnbench: no report: {describe(error)[0]}", file=sys.stderr)


def _page(folder: Path) -> str:
    results = read(folder)
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
    """Returns what lets this script run, and no other."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"
