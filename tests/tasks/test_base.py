"""What every task must define."""

import pytest

from rnnbench.tasks import Adding, Task


@pytest.mark.parametrize("name", ["example", "loss", "metrics", "chance", "solved"])
def test_a_task_without_a_part_is_told_which(name):
    parts = {part: getattr(Adding, part) for part in ("example", "loss", "metrics", "chance", "solved") if part != name}
    with pytest.raises(TypeError, match=f"abstract method '?{name}"):
        type("Partial", (Task,), parts)()
