"""One job in several processes, on one machine or several: how they connect, and how they agree.

Each process computes on its own devices. Only the first, the leader, writes records and prints. It also makes every
decision that depends on the clock or the disk and sends it to the others, so that all processes do the same.
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
    """Connects this process with the others of the job. Call it before JAX's first computation.

    Does nothing if there are no others, or if they are already connected.

    Args:
        config: the coordinator's address, the number of processes and the number of this one. If they are None and
            this process is one of several in a Slurm step, they come from Slurm.

    Raises:
        UserError: the processes could not connect.
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
    """Returns whether this process is the one that writes records and prints."""
    return _is_alone() or jax.process_index() == 0


def _is_alone() -> bool:
    return not jax.distributed.is_initialized()  # asking JAX for the number of processes would start it


def lead(action: Callable[[], Any]) -> Any:
    """Calls a function in the leader only, and returns its result in every process.

    Args:
        action: a function without arguments whose result can be converted to JSON.

    Raises:
        UserError: the function raised it in the leader. It is then raised in every process.
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
    received = multihost_utils.broadcast_one_to_all(text if is_leader() else np.zeros(length, np.uint8))
    if failure is not None:
        raise failure
    found = json.loads(np.asarray(received, np.uint8).tobytes())
    if "error" in found:
        raise UserError(found["error"])
    return found["value"]


def any_of(flag: bool) -> bool:
    """Returns whether the flag is set in any process of the job: the same in all of them."""
    return flag if _is_alone() else bool(np.any(multihost_utils.process_allgather(np.array(flag))))


def put(tree: PyTree, sharding: Sharding) -> PyTree:
    """Distributes arrays, which every process has in full, over the devices of all processes."""
    if _is_alone():
        return jax.device_put(tree, sharding)

    def put_one(leaf: Any) -> jax.Array:
        if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            return jax.random.wrap_key_data(put_one(jax.random.key_data(leaf)), impl=jax.random.key_impl(leaf))
        array = np.asarray(leaf)
        return jax.make_array_from_callback(array.shape, sharding, lambda index: array[index])

    return jax.tree.map(put_one, tree)


def fetch(tree: PyTree) -> PyTree:
    """Returns arrays that are distributed over the devices of all processes, as full NumPy arrays in each process."""
    if _is_alone():
        return jax.device_get(tree)
    return multihost_utils.process_allgather(tree, tiled=True)
