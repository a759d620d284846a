"""Contract checks that authors of tasks and cells call from their own tests."""

from rnnbench.testing.cells import check_cell
from rnnbench.testing.tasks import check_task

__all__ = ["check_cell", "check_task"]
