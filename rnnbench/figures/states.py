"""How the states of cells are drawn: each name has its own pattern of dashes, the same in every figure."""

from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

Dash = tuple[float, ...]
"""Lengths of dashes and gaps, in line widths; () is a solid line."""

FULL: Dash = ()

NAMED: dict[str, Dash] = {"h": FULL, "c": (2.5, 1.5), "n": (1.0, 1.3), "m": (4.0, 1.3, 1.0, 1.3)}
"""Patterns of names that several cells share: hidden and cell state, and an sLSTM's normalizer and stabilizer."""

FURTHER: tuple[Dash, ...] = ((4.0, 1.3, 1.0, 1.3, 1.0, 1.3), (8.0, 2.0, 1.0, 2.0), (1.0, 3.0))
"""Patterns of the other names."""

ALL: Dash = (5.0, 2.0)
"""Pattern of all states together."""

DASHES = (*NAMED.values(), *FURTHER, ALL)
"""All patterns, in the order of legends."""


def state_dashes(table: pd.DataFrame) -> dict[tuple[str, str], Dash]:
    """Returns the pattern of every state, by cell and name.

    The names in `NAMED` have fixed patterns, and so do all states together ("h,c"). If a cell has neither h nor c, its
    first state is solid. Each other name gets a further pattern, in the order of the names.

    Args:
        table: rows with the columns model and state.
    """
    names: dict[str, set[str]] = {}
    for model, state in table[["model", "state"]].drop_duplicates().itertuples(index=False):
        names.setdefault(model, set()).add(state)
    dashes: dict[tuple[str, str], Dash] = {}
    others: dict[str, list[str]] = {}
    for model, own in sorted(names.items()):
        first = min(own, key=_rank) if not {"h", "c"} & own else "h"
        for state in own:
            if state == first:
                dashes[model, state] = FULL
            elif state in NAMED:
                dashes[model, state] = NAMED[state]
            elif is_joint(state):
                dashes[model, state] = ALL
            else:
                others.setdefault(state, []).append(model)
    for number, state in enumerate(sorted(others, key=_rank)):
        dashes |= {(model, state): FURTHER[number % len(FURTHER)] for model in others[state]}
    return dashes


def states(rows: pd.DataFrame, dashes: Mapping[tuple[str, str], Dash]) -> Iterator[tuple[str, Dash, pd.DataFrame]]:
    """Yields every state of a setting in legend order: its name, its pattern and its rows."""
    groups: Any = rows.groupby(["model", "state"])
    found = [(state, dashes[model, state], own) for (model, state), own in groups]
    yield from sorted(found, key=lambda of_state: DASHES.index(of_state[1]))


def layers(rows: pd.DataFrame, dashes: Mapping[tuple[str, str], Dash]) -> Iterator[tuple[int, str, Dash, pd.DataFrame]]:
    """Yields the states of every layer: the layer, then what `states` yields."""
    groups: Any = rows.groupby("layer")
    for layer, of_layer in groups:
        for state, dash, own in states(of_layer, dashes):
            yield layer, state, dash, own


def state_label(state: str) -> str:
    """Returns what a state is called in figures."""
    return {"h": "hidden state h", "c": "cell state c"}.get(state, f"state {state}")


def source_label(state: str) -> str:
    """Returns the label of the state that something is read from: one state, or all of them."""
    return "of all states" if is_joint(state) else f"of {state}"


def is_joint(state: str) -> bool:
    """Returns whether a name stands for all states of a cell together, such as "h,c"."""
    return "," in state


def _rank(state: str) -> tuple[bool, int, str]:
    """Returns a sort key that puts s2 before s10, and all states together last."""
    return is_joint(state), len(state), state
