"""How fast a gradient decays backwards in time, as a few numbers."""

import numpy as np
from jaxtyping import Float

VANISHED, EXPLODED = 1e-6, 1e3
"""A step's gradient has vanished if its norm relative to the last is below the first, exploded if above the second."""


def decay(norms: Float[np.ndarray, " time"]) -> dict[str, float]:
    """Describes how the norm g_t = ||dL/ds_t|| changes from the last step T with a gradient back to the first.

    Returns:
        Numbers by name:
        decay_rate: r of the best-fitting line log g_t = a - r (T - t) over the steps where g_t > 0, in 1 / step;
            if it is negative, the gradient grows backwards in time. (A linear network with U = s Q, Q orthogonal, has
            r = -log s.)
        half_life: log(2) / r in steps; infinite if the gradient does not decay.
        first_to_last: g_1 / g_T.
        vanished: share of the steps up to T with g_t < 1e-6 g_T.
        exploded: share of them with g_t > 1000 g_T.
        All are NaN if fewer than two steps have a gradient, or if a norm is not finite.
    """
    names = ("decay_rate", "half_life", "first_to_last", "vanished", "exploded")
    reached = np.flatnonzero(norms > 0)
    if len(reached) < 2 or not np.isfinite(norms).all():
        return dict.fromkeys(names, float("nan"))
    upto = norms[: reached[-1] + 1].astype(np.float64)
    share = upto / upto[-1]
    back = reached[-1] - reached
    rate = -float(np.polynomial.polynomial.polyfit(back, np.log(share[reached]), 1)[1])
    numbers = (
        rate,
        float(np.log(2) / rate) if rate > 0 else float("inf"),
        float(share[0]),
        float(np.mean(share < VANISHED)),
        float(np.mean(share > EXPLODED)),
    )
    return dict(zip(names, numbers, strict=True))
