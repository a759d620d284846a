"""Bins of distances and lengths that double: 1-2, 3-4, 5-8, 9-16, ..."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from jaxtyping import Float, Int


def bin_ends(shortest: int, longest: int) -> tuple[int, ...]:
    """Returns the ends of the bins 1-2, 3-4, 5-8, 9-16, ..., cut to the range: bin i starts after end i, at i + 1."""
    ends = [shortest - 1]
    while ends[-1] < longest:
        ends.append(min(max(2, 1 << ends[-1].bit_length()), longest))
    return tuple(ends)


def reach(right: Float[np.ndarray, " size"], at: Int[np.ndarray, " size"], ends: Sequence[int], least: float) -> int:
    """Returns the end of the last bin up to which the mean of `right` is at least `least` in every bin; 0 if none."""
    reached = 0
    for shorter, longest in pairwise(ends):
        inside = (at > shorter) & (at <= longest)
        if not inside.any() or right[inside].mean() < least:
            break
        reached = longest
    return reached
