"""RNN, LSTM and GRU side by side on long-dependency tasks.

What was trained is read by `load_runs`, `load_metrics`, `load_scores`, `load_gradient_flow` and `load_showcase`,
drawn by `rnnbench.plots`. New cells derive from `rnnbench.cells`, new tasks from `rnnbench.tasks`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rnnbench.results import load_gradient_flow, load_metrics, load_runs, load_scores, load_showcase

__all__ = ["load_gradient_flow", "load_metrics", "load_runs", "load_scores", "load_showcase"]


def __getattr__(name: str) -> Any:
    """Imports the readers when they are first used: the command line must answer before pandas is there."""
    if name in __all__:
        return getattr(import_module("rnnbench.results"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
