"""One job in several processes, on one machine or on many: who they are, and how they agree.

Every process computes on its own devices; the first one, the leader, alone writes records and talks. What hangs on
the clock or on the disk is decided by it, so that all go the same way.
"""

import json
import os
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Sharding
from jaxtyping import PyTree

from rnnbench.config.schema import DistributedConfig
from rnnbench.errors import UserError


def connect(config: DistributedConfig) -> None:
    """Joins the processes of the job, unless this is the only one, or they are joined. Before JAX's first computation.

    Args:
        config: addresses, or none: then those of the Slurm step that this process belongs to, if it has several.

    Raises:
        UserError: the others are not there.
    """
    alone = config.coordinator is None and int(os.environ.get("SLURM_STEP_NUM_TASKS", "1")) == 1
    if alone or jax.distributed.is_initialized():
        return
    try:
        jax.distributed.initialize(config.coordinator, config.processes, config.process)
    except (RuntimeError, ValueError) as error:
        where = config.coordinator or "Slurm's environment"
        raise UserError(
            f"distributed: the processes of the job did not meet by {where} ({str(error).splitlines()[0]}); expected "
            "distributed.processes of them, each with its own distributed.process, from 0 on"
        ) from error


def is_leader() -> bool:
    """Whether this process records and talks."""
    return _is_alone() or jax.process_index() == 0


def _is_alone() -> bool:
    return not jax.distributed.is_initialized()  # to ask for their count would start JAX


def lead(action: Callable[[], Any]) -> Any:
    """What `action` gives the leader, who alone does it, in every process: plain values, as of JSON.

    Raises:
        UserError: as it did for the leader.
    """
    if _is_alone():
        return action()
    answer: dict[str, Any] = {}
    failure: UserError | None = None
    if is_leader():
        try:
            answer["value"] = action()
        except UserError as error:
            answer["error"], failure = str(error), error
    text = np.frombuffer(json.dumps(answer).encode(), np.uint8)
    length = int(multihost_utils.broadcast_one_to_all(np.int32(len(text))))
    heard = multihost_utils.broadcast_one_to_all(text if is_leader() else np.zeros(length, np.uint8))
    if failure is not None:
        raise failure
    found = json.loads(np.asarray(heard, np.uint8).tobytes())
    if "error" in found:
        raise UserError(found["error"])
    return found["value"]


def put(tree: PyTree, sharding: Sharding) -> PyTree:
    """Arrays that every process has whole, spread over the devices of all."""
    if _is_alone():
        return jax.device_put(tree, sharding)

    def put_one(leaf: Any) -> jax.Array:
        if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            return jax.random.wrap_key_data(put_one(jax.random.key_data(leaf)), impl=jax.random.key_impl(leaf))
        array = np.asarray(leaf)
        return jax.make_array_from_callback(array.shape, sharding, lambda index: array[index])

    return jax.tree.map(put_one, tree)


def fetch(tree: PyTree) -> PyTree:
    """Arrays that are spread over the devices of all processes, whole, as NumPy's."""
    if _is_alone():
        return jax.device_get(tree)
    return multihost_utils.process_allgather(tree, tiled=True)
