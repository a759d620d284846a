"""Numbers as text, the same in every table."""

from typing import Any

import pandas as pd


def number(value: Any, digits: int = 3) -> str:
    """Returns a number in so many significant digits; "-" where it is missing, "diverged" where it is infinite."""
    if pd.isna(value):
        return "-"
    return "diverged" if abs(value) == float("inf") else f"{value:.{digits}g}"


def percent(share: Any) -> str:
    """Returns a share of 1 in whole percent, without the sign: 0.5 is "50"."""
    return f"{100 * share:.0f}"


def interval(low: Any, high: Any) -> str:
    """Returns both ends of an interval, as `number` writes them."""
    return f"{number(low)}..{number(high)}"
