"""The overrides of a command, before anything is composed: whether each names a key, and how many runs they ask for."""

import math
import re
from collections.abc import Iterable

from hydra.core.override_parser.types import ChoiceSweep, Override, RangeSweep

from rnnbench.config.limits import MAX_RUNS
from rnnbench.config.messages import unreadable
from rnnbench.errors import UserError


def check_keys(overrides: Iterable[str]) -> None:
    """Checks that overrides name a key.

    Raises:
        UserError: one does not, as in `=1`, `+=1` or `@seed=1`.
    """
    for override in overrides:
        if re.match(r"(\+\+?|~)?([@=]|$)", override):
            raise UserError(unreadable(override))


def check_axes(overrides: Iterable[Override]) -> None:
    """Checks the axes of a sweep, without listing their values.

    Args:
        overrides: parsed overrides, one for each key.

    Raises:
        UserError: an axis is an interval or has no values, or there are more than `MAX_RUNS` combinations.
    """
    runs = 1
    for override in overrides:
        if not override.is_sweep_override():
            continue
        key = override.get_key_element()
        if not override.is_discrete_sweep():
            raise UserError(
                f"{override.input_line}: expected values to try, such as {key}=1,2 or {key}='range(3)'; "
                "an interval has no end of them"
            )
        count = _count(override)
        if count == 0:
            raise UserError(f"{override.input_line}: expected values to try, such as {key}=1,2, got none")
        runs *= count
        if runs > MAX_RUNS:
            raise UserError(
                f"{override.input_line}: expected at most {MAX_RUNS} runs in a sweep, got {runs} or more; "
                "try fewer values, or several sweeps after each other"
            )


def _count(override: Override) -> int:
    """Returns the number of an axis's values."""
    values = override.value()
    if isinstance(values, RangeSweep):
        assert values.start is not None
        assert values.stop is not None
        if values.step == 0:
            raise UserError(f"{override.input_line}: expected a step other than 0")
        return max(0, math.ceil((values.stop - values.start) / values.step))
    if isinstance(values, ChoiceSweep):
        return len(values.list)
    return sum(1 for _ in override.sweep_iterator())  # a glob's values are the names of files
