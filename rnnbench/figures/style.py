"""The style of all static figures, and how to save them."""

import base64
import io
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec

import matplotlib as mpl
from matplotlib.figure import Figure

from rnnbench.errors import UserError
from rnnbench.visible import visible

STYLE: Any = {
    "font.family": "DejaVu Sans",  # comes with matplotlib: the same everywhere
    "font.size": 15,
    "axes.titlesize": 16,
    "axes.titlelocation": "left",
    "axes.titlepad": 10,
    "axes.labelsize": 15,
    "xtick.labelsize": 13,
    "ytick.labelsize": 13,
    "legend.fontsize": 15,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#444444",
    "axes.linewidth": 1.0,
    "axes.axisbelow": True,
    "grid.color": "#E5E5E5",
    "lines.linewidth": 2.8,
    "lines.solid_capstyle": "round",
    "figure.dpi": 100,
    "savefig.dpi": 150,
    "svg.hashsalt": "rnnbench",  # the ids in an SVG file then follow from its content
    "svg.fonttype": "path",
}

_P = ParamSpec("_P")


def styled(draw: Callable[_P, Figure]) -> Callable[_P, Figure]:
    """Makes a function draw in our style, whatever the caller's style is."""

    @wraps(draw)
    def styled(*args: _P.args, **kwargs: _P.kwargs) -> Figure:
        with mpl.rc_context({**mpl.rcParamsDefault, **STYLE, "backend": mpl.rcParams["backend"]}):
            return draw(*args, **kwargs)

    return styled


def save(figure: Figure, stem: str | Path) -> list[Path]:
    """Writes `<stem>.png` and `<stem>.svg`, and returns their paths. Equal figures give equal files.

    Raises:
        UserError: the files cannot be written.
    """
    stem = Path(stem)
    paths = [stem.with_name(f"{stem.name}.{kind}") for kind in ("png", "svg")]
    try:
        stem.parent.mkdir(parents=True, exist_ok=True)
        with mpl.rc_context(STYLE):
            for path in paths:
                figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)
    except OSError as error:
        raise UserError(f"cannot write the figure {stem}.*: {error.strerror or error}") from error
    return paths


def plain(text: str) -> str:
    """Returns text escaped so that it is shown literally: a dollar sign would start a formula."""
    return visible(text).replace("$", r"\$")


def as_data(figure: Figure) -> str:
    """Returns a figure as PNG in a `data:` URL, for a self-contained page."""
    content = io.BytesIO()
    with mpl.rc_context(STYLE):
        figure.savefig(content, format="png", dpi=100)
    return f"data:image/png;base64,{base64.b64encode(content.getvalue()).decode()}"
