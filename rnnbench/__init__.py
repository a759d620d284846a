"""RNN, LSTM and GRU side by side on long-dependency tasks.

`compose` makes a configuration and `train` trains it; the functions `load_...` read what was recorded, as pandas
tables, and `rnnbench.figures` draws them; `load_model` reads a trained model. New cells derive from
`rnnbench.cells.GatedCell`, new tasks from `rnnbench.tasks.Task`, new probes from `rnnbench.probes.Probe`.
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
    from rnnbench.api import train
    from rnnbench.config.compose import compose, compose_sweep
    from rnnbench.training.trained import load_model

_HOMES = {
    "compose": "rnnbench.config.compose",
    "compose_sweep": "rnnbench.config.compose",
    "load_metrics": "rnnbench.analysis.tables",
    "load_model": "rnnbench.training.trained",
    "load_runs": "rnnbench.analysis.tables",
    "load_scores": "rnnbench.analysis.tables",
    "load_showcase": "rnnbench.analysis.tables",
    "load_table": "rnnbench.analysis.tables",
    "table_names": "rnnbench.analysis.tables",
    "train": "rnnbench.api",
}

__all__ = [
    "compose",
    "compose_sweep",
    "load_metrics",
    "load_model",
    "load_runs",
    "load_scores",
    "load_showcase",
    "load_table",
    "table_names",
    "train",
]


def __getattr__(name: str) -> Any:
    """Imports the public functions when they are first used: the command line must answer before pandas is there."""
    if name in __all__:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
