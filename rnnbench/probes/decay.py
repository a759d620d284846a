"""From the norms of a gradient at every time step to a few numbers: how fast it decays on its way back."""

import numpy as np
from jaxtyping import Float

VANISHED, EXPLODED = 1e-6, 1e3
"""Shares of the last norm below and above which a step's gradient counts as vanished, and as exploded."""


def decay(norms: Float[np.ndarray, " time"]) -> dict[str, float]:
    """How the norm g_t = ||dL/ds_t|| falls or grows from the last step T that has a gradient back to the first.

    Returns:
        By name:
        decay_rate: r of the line log g_t = a - r (T - t) that fits best, over the steps where g_t > 0, in 1 / step;
            below 0 the gradient grows on its way back. (A linear network with U = s Q, Q orthogonal, has r = -log s.)
        half_life: log(2) / r in steps; infinite where the gradient does not decay.
        first_to_last: g_1 / g_T.
        vanished: share of the steps up to T with g_t < 1e-6 g_T.
        exploded: share of them with g_t > 1000 g_T.
        All are NaN where no step or one alone has a gradient, or a norm is not finite.
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
