"""RNN, LSTM and GRU side by side on long-dependency tasks.

What was trained and probed is read by the functions `load_...`, which give pandas tables, and drawn by
`rnnbench.figures`. New cells derive from `rnnbench.cells`, new tasks from `rnnbench.tasks`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rnnbench.analysis.tables import (
        load_metrics,
        load_runs,
        load_scores,
        load_showcase,
        load_table,
        table_names,
    )

__all__ = [
    "load_metrics",
    "load_runs",
    "load_scores",
    "load_showcase",
    "load_table",
    "table_names",
]


def __getattr__(name: str) -> Any:
    """Imports the readers when they are first used: the command line must answer before pandas is there."""
    if name in __all__:
        return getattr(import_module("rnnbench.analysis.tables"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
