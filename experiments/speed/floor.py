"""What the LSTM's matmuls alone take at the shapes where a target is missed: `python experiments/speed/floor.py`.

A scan forward with the step's own matmul, one in reverse with that of its gradient, and the weights' gradients by one
matmul over all steps: the same sizes as in training, on the same devices, and nothing else but the copy of what the
matmuls need. Timed in turns with the whole training step, in processes of their own.
"""

import os
import statistics
import time

import jax
import jax.numpy as jnp
from benchmark import SEGMENT, SHAPES, Worker
from jax import lax
from jax.sharding import Mesh
from jax.sharding import PartitionSpec as P

ROUNDS = 7
GATES = 4


def matmuls(length: int, batch: int, hidden: int, members: int, steps: int, devices: list[jax.Device]):
    """A compiled function that does the matmuls of so many training steps."""
    spread = members > 1
    width = hidden + 3  # two inputs and the bias
    rows = batch if spread else batch // len(devices)

    def one(weights: jax.Array) -> jax.Array:
        def training_step(weights: jax.Array, _: None) -> tuple[jax.Array, None]:
            def forward(h: jax.Array, _: None) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
                z = jnp.pad(h, ((0, 0), (0, width - hidden))) @ weights
                return z[:, :hidden], (h, z)

            def backward(dh: jax.Array, dz: jax.Array) -> tuple[jax.Array, None]:
                return dh + dz @ transposed, None

            h, (states, dz) = lax.scan(forward, jnp.zeros((rows, hidden)), None, length=length)
            transposed = lax.optimization_barrier(weights[:hidden].T)
            dh, _ = lax.scan(backward, h, dz, reverse=True)
            gradient = jnp.tensordot(states, dz, axes=((0, 1), (0, 1)))
            return weights + 1e-9 * (jnp.pad(gradient, ((0, width - hidden), (0, 0))) + dh.sum()), None

        return lax.scan(training_step, weights, None, length=steps)[0]

    mesh = Mesh(devices, ("device",))
    spec = P("device") if spread else P(None)
    mapped = jax.shard_map(lambda w: lax.map(one, w), mesh=mesh, in_specs=spec, out_specs=spec, check_vma=False)
    weights = 0.01 * jax.random.normal(jax.random.key(0), (members, width, GATES * hidden))
    return jax.jit(mapped).lower(weights).compile(), weights


def main() -> None:
    """Prints medians, and smallest and largest values."""
    jax.config.update("jax_num_cpu_devices", os.cpu_count())
    for shape, members in (("B", 1), ("B", 16), ("C", 1)):
        length, batch, hidden = SHAPES[shape]
        steps = max(1, SEGMENT[shape] // members)
        compiled, weights = matmuls(length, batch, hidden, members, steps, jax.devices())
        one = {"cell": "lstm", "length": length, "batch": batch, "hidden": hidden}
        worker = Worker(side="rnnbench", steps=steps, members=members, **one)
        floors, wholes = [], []
        for number in range(-1, ROUNDS):
            start = time.perf_counter()
            jax.block_until_ready(compiled(weights))
            floor = (time.perf_counter() - start) / steps / members
            whole = worker.time(steps=steps) / steps / members
            if number >= 0:
                floors.append(1e3 * floor)
                wholes.append(1e3 * whole)
        worker.close()
        for name, values in (("matmuls alone", floors), ("training step", wholes)):
            median, low, high = statistics.median(values), min(values), max(values)
            which = f"{shape}, {members} run{'s' * (members > 1)}, {name}"
            print(f"{which}: {median:.2f} ms a step and run ({low:.2f}..{high:.2f})", flush=True)


if __name__ == "__main__":
    main()
