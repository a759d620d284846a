"""HTML from templates, which escape all text that is not already markup, and show what could not be seen in it."""

from collections.abc import Iterable
from typing import Any

import plotly.graph_objects as go
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from rnnbench.visible import visible


def _finalize(value: Any) -> Any:
    """Makes what templates insert visible; what is already markup stays as it is."""
    return visible(value, keep="\n") if isinstance(value, str) and not isinstance(value, Markup) else value


_TEMPLATES = PackageLoader("rnnbench.figures.page")
_ENVIRONMENT = Environment(
    loader=_TEMPLATES,
    autoescape=True,
    finalize=_finalize,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
)

parts: Any = _ENVIRONMENT.get_template("parts.html").module
"""The macros of parts.html. Each returns markup."""


def page(**values: Any) -> str:
    """Returns the complete page: report.html filled with these values."""
    return _ENVIRONMENT.get_template("report.html").render(values)


def source(name: str) -> Markup:
    """Returns a file beside the templates, such as report.js, unchanged."""
    return Markup(_TEMPLATES.get_source(_ENVIRONMENT, name)[0])


def joined(markup: Iterable[Markup]) -> Markup:
    """Returns pieces of markup, one below the other."""
    return Markup("\n").join(markup)


def embedded(figure: go.Figure, caption: str = "") -> Markup:
    """Returns a figure for `report.js` to draw."""
    data = figure.to_json(engine="json")  # without a "<", so that nothing in it ends the script
    return parts.figure(Markup(data), figure.layout.height, caption)
