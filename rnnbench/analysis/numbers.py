"""Numbers as text, the same in every table."""

from typing import Any

import pandas as pd


def number(value: Any, digits: int = 3) -> str:
    """Returns a number with `digits` significant digits, "-" if it is missing, or "diverged" if it is infinite."""
    if pd.isna(value):
        return "-"
    return "diverged" if abs(value) == float("inf") else f"{value:.{digits}g}"


def percent(share: Any) -> str:
    """Returns a share in whole percent, without the percent sign: 0.5 is "50"."""
    return f"{100 * share:.0f}"


def interval(low: Any, high: Any) -> str:
    """Returns both ends of an interval, formatted by `number`, or "-" if there is none."""
    return "-" if pd.isna(low) and pd.isna(high) else f"{number(low)}..{number(high)}"
