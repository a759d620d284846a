"""Schedules of the learning rate: by which factor it is multiplied at each step of training."""

from collections.abc import Callable

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from rnnbench.cells.base import Number

Schedule = Callable[[Int[Array, ""]], Float[Array, ""]]
"""Maps t, the number of training steps already taken, to a factor of the learning rate."""


def cosine(steps: int, warmup: Number = 0.0, end: Number = 0.0) -> Schedule:
    """Returns a schedule that rises linearly, then falls along half a cosine (Loshchilov & Hutter 2017).

        factor(t) = min(1, (t + 1) / (warmup + 1)) * (end + (1 - end) (1 + cos(pi p)) / 2)
        p = (t - warmup) / (steps - warmup), at least 0 and at most 1

    Args:
        steps: training steps after which the factor is `end`.
        warmup: steps in which the factor rises to 1; less than `steps`.
        end: the last factor.

    Raises:
        ValueError: `warmup` is not between 0 and `steps`, or `end` is negative.
    """
    _check(steps, warmup, end)
    return lambda t: _rise(t, warmup) * (end + (1 - end) * (1 + jnp.cos(jnp.pi * _progress(t, warmup, steps))) / 2)


def linear(steps: int, warmup: Number = 0.0, end: Number = 0.0) -> Schedule:
    """Returns a schedule that rises linearly, then falls linearly; arguments and errors are those of `cosine`.

    factor(t) = min(1, (t + 1) / (warmup + 1)) * (1 + (end - 1) p)
    """
    _check(steps, warmup, end)
    return lambda t: _rise(t, warmup) * (1 + (end - 1) * _progress(t, warmup, steps))


def step(every: int, decay: Number = 0.5) -> Schedule:
    """Returns a schedule that falls at once, again and again: factor(t) = decay^floor(t / every).

    Args:
        every: steps between two falls.
        decay: what a fall multiplies the factor by.

    Raises:
        ValueError: `every` is less than 1, or `decay` is negative.
    """
    if every < 1:
        raise ValueError(f"every: expected 1 or more, got {every}")
    if isinstance(decay, float) and decay < 0:
        raise ValueError(f"decay: expected 0 or more, got {decay}")
    return lambda t: jnp.asarray(decay, jnp.float32) ** (t // every).astype(jnp.float32)


def _check(steps: int, warmup: Number, end: Number) -> None:
    """Checks the arguments that are plain numbers: traced ones have been checked as such for every run."""
    if steps < 1:
        raise ValueError(f"steps: expected 1 or more, got {steps}")
    if isinstance(warmup, int | float) and not 0 <= warmup < steps:
        raise ValueError(f"warmup: expected 0 or more and less than the {steps} steps, got {warmup}")
    if isinstance(end, int | float) and end < 0:
        raise ValueError(f"end: expected 0 or more, got {end}")


def _rise(t: Int[Array, ""], warmup: Number) -> Float[Array, ""]:
    return jnp.minimum(1.0, (t.astype(jnp.float32) + 1) / (warmup + 1))


def _progress(t: Int[Array, ""], warmup: Number, steps: int) -> Float[Array, ""]:
    return jnp.clip((t.astype(jnp.float32) - warmup) / (steps - warmup), 0.0, 1.0)
