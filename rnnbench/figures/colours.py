"""How cells and their settings look: the same in every figure of a results folder, static or interactive.

A cell has a colour and, if there are more cells than colours, a marker. Looks depend on all runs of a folder, so that a
figure that leaves out some runs draws the others as in every other figure.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

import pandas as pd
from matplotlib.colors import to_hex, to_rgb

from rnnbench.analysis.settings import in_order

COLOURS = {"rnn": "#d55e00", "irnn": "#cc79a7", "lstm": "#0072b2", "gru": "#009e73"}
"""Colours of the cells, from the palette of Okabe and Ito, which is safe for the colour-blind."""

PALETTE = (*COLOURS.values(), "#e69f00", "#56b4e9", "#000000", "#8c510a")
"""All colours: those of the built-in cells, then those of other cells."""

MARKERS = ("s", "^", "D", "v", "P", "*")
"""Markers, in matplotlib's letters, for cells that must share a colour."""

GREY = "#6b6b6b"
"""Colour of what is not a cell: chance levels, and legend entries that all cells share."""


class Look(NamedTuple):
    """How a cell or a setting is drawn.

    Attributes:
        colour: "#rrggbb".
        marker: one of `MARKERS`, or "" for a plain line.
    """

    colour: str
    marker: str = ""

    def paler(self, share: float) -> "Look":
        """Returns the look with its colour mixed with this share of white, at most three quarters."""
        white = min(share, 0.75)
        red, green, blue = (1 - (1 - channel) * (1 - white) for channel in to_rgb(self.colour))
        return self._replace(colour=to_hex((red, green, blue)))


def cell_looks(models: Iterable[str]) -> dict[str, Look]:
    """Returns the look of every cell, by its name.

    The built-in cells always have their own colours. Other cells, sorted by name, get the remaining colours, then all
    colours again with each marker.
    """
    looks = [Look(colour) for colour in PALETTE[len(COLOURS) :]]
    looks += [Look(colour, marker) for marker in MARKERS for colour in PALETTE]
    others = sorted(set(models) - set(COLOURS))
    own = {model: Look(colour) for model, colour in COLOURS.items()}
    return own | {model: looks[number % len(looks)] for number, model in enumerate(others)}


def setting_looks(labelled: pd.DataFrame) -> dict[str, Look]:
    """Returns the look of every setting by its line, in legend order. Further settings of a cell are paler.

    Args:
        labelled: the result of `label_runs` for all runs of a folder, drawn or not.
    """
    settings = in_order(labelled)
    of_cell = cell_looks(model for _, model in settings)
    seen: dict[str, int] = {}
    looks = {}
    for line, model in settings:
        variant = seen[model] = seen.get(model, -1) + 1
        variants = sum(other == model for _, other in settings)
        looks[line] = of_cell[model].paler(0.65 * variant / max(variants - 1, 1)) if variant else of_cell[model]
    return looks


def settings(rows: pd.DataFrame, looks: Mapping[str, Look]) -> Iterator[tuple[str, Look, pd.DataFrame]]:
    """Yields every setting that has rows, in legend order: its line, its look and its rows."""
    of_line = dict(iter(rows.groupby("line", sort=False)))
    for line, look in looks.items():
        if line in of_line:
            yield line, look, of_line[line]
