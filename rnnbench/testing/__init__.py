"""Contract checks, which authors of tasks and cells call in their own tests."""

from rnnbench.testing.cells import check_cell
from rnnbench.testing.shortcuts import check_oracle, check_shortcuts
from rnnbench.testing.tasks import check_task

__all__ = ["check_cell", "check_oracle", "check_shortcuts", "check_task"]
