"""JAX switches that change a run's numbers without being part of its configuration, or with which nothing trains."""

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
"""The values that runs need. Switches that only raise errors, log or change the rounding may be set freely."""

USABLE: dict[str, tuple[Any, ...]] = {
    "jax_disable_jit": (False,),
    "jax_no_tracing": (False,),
    "eager_constant_folding": (False,),
    "jax_default_device": (None,),
    "jax_compilation_cache_check_contents": (False,),
    "jax_array_garbage_collection_guard": (None, "allow", "log"),
    **dict.fromkeys(
        (
            "jax_transfer_guard",
            "jax_transfer_guard_host_to_device",
            "jax_transfer_guard_device_to_device",
            "jax_transfer_guard_device_to_host",
        ),
        (None, "allow", "log"),
    ),
}
"""The values with which runs can be trained at all."""

INSTEAD = {
    "jax_default_matmul_precision": "; train.matmul_precision sets it for a run's training steps",
    "jax_default_device": "; JAX_PLATFORMS chooses the kind of device",
}
"""What to use in place of a switch."""


def refuse_switches() -> None:
    """Checks that no JAX switch changes the numbers of a run, so that equal run ids mean equal numbers, or stops it.

    Raises:
        UserError: a switch has another value, set by the environment or by imported code.
    """
    for table, why in (
        (NEEDED, "it would change the numbers of a run, but not its id"),
        (USABLE, "nothing can be trained with it"),
    ):
        for switch, allowed in table.items():
            if (value := _value(switch, allowed[0])) not in allowed:
                name, words = switch.upper(), " or ".join(map(_in_words, allowed))
                raise UserError(
                    f"{name}: expected {words}, got {_in_words(value)}: {why}; unset {name} in the environment, "
                    f"or leave out jax.config.update({switch!r}, ...){INSTEAD.get(switch, '')}"
                )


def _value(switch: str, default: Any) -> Any:
    """Returns the value of a switch, or `default` if this version of JAX does not have it."""
    value = getattr(jax.config, switch, default)
    return value.name.lower() if hasattr(value, "name") else value


def _in_words(value: Any) -> str:
    return "nothing" if value is None else str(value).lower()
