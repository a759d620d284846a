"""Switches of JAX that change a run's numbers without being in its configuration."""

from typing import Any

import jax

from rnnbench.errors import UserError

NEEDED: dict[str, tuple[Any, ...]] = {
    "jax_enable_x64": (False,),
    "jax_explicit_x64_dtypes": ("warn", "error"),
    "jax_default_matmul_precision": (None,),
    "jax_default_prng_impl": ("threefry2x32",),
    "jax_threefry_partitionable": (True,),
    "jax_random_seed_offset": (0,),
    "jax_high_dynamic_range_gumbel": (False,),
}
"""What a run needs them to be. Switches that only raise errors, log, or change the rounding are free."""

INSTEAD = {"jax_default_matmul_precision": "; train.matmul_precision sets it for a run's training steps"}
"""Keys of the configuration that do what a switch does."""


def refuse_switches() -> None:
    """Checks that JAX is set as every run of this configuration has it, so that one id stands for one set of numbers.

    Raises:
        UserError: a switch is set to something else, by the environment or by code that was imported.
    """
    for switch, needed in NEEDED.items():
        if (value := _value(switch, needed[0])) not in needed:
            name, words = switch.upper(), " or ".join(map(_in_words, needed))
            raise UserError(
                f"{name}: expected {words}, got {_in_words(value)}: it would change the numbers of a run, but not its "
                f"id; unset {name} in the environment, or leave out jax.config.update({switch!r}, ...)"
                f"{INSTEAD.get(switch, '')}"
            )


def _value(switch: str, default: Any) -> Any:
    """The switch as it is set; a version of JAX may lack it."""
    value = getattr(jax.config, switch, default)
    return value.name.lower() if hasattr(value, "name") else value


def _in_words(value: Any) -> str:
    return "nothing" if value is None else str(value).lower()
