"""Times a cell's matmuls alone at the shapes that miss a speed target: `python experiments/speed/floor.py`.

A forward scan does the step's own matmul, a reverse scan does the matmul of its gradient, and one matmul over all steps
gives the gradients of the weights. The sizes and devices are those of training, and nothing else runs except the copies
that the matmuls need. These timings alternate with those of the whole training step, each in its own process.
"""

import os
import statistics
import time
from typing import Any

import jax
import jax.numpy as jnp
from benchmark import GATES, SEGMENT, SHAPES, Worker
from jax import lax
from jax.sharding import Mesh
from jax.sharding import PartitionSpec as P

ROUNDS = 15


def matmuls(cell: str, length: int, batch: int, hidden: int, members: int, steps: int, devices: list[jax.Device]):
    """Returns a compiled function that does the matmuls of `steps` training steps."""
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
    weights = 0.01 * jax.random.normal(jax.random.key(0), (members, width, GATES[cell] * hidden))
    return jax.jit(mapped).lower(weights).compile(), weights


def shapes() -> list[tuple[str, dict[str, Any], int, int]]:
    """Returns, for each measurement, a name, the cell and its shape, the population's runs and the segment's steps."""
    rows = []
    for name, members in (("B", 1), ("B", 16), ("C", 1)):
        shape = dict(zip(("length", "batch", "hidden"), SHAPES[name], strict=True))
        rows.append((name, {"cell": "lstm", **shape}, members, max(1, SEGMENT[name] // members)))
    # The RNN also runs with a quarter of the batch, to see whether time follows T or the memory for the states.
    for cell, batch in (("rnn", 8), ("rnn", 2), ("lstm", 8), ("gru", 8)):
        for length in (1000, 4000, 16000):
            shape = {"length": length, "batch": batch, "hidden": 64}
            rows.append((f"T = {length:,}, batch {batch}", {"cell": cell, **shape}, 1, max(8, 16000 // length)))
    return rows


def main() -> None:
    """Prints medians with the smallest and the largest values."""
    jax.config.update("jax_num_cpu_devices", os.cpu_count())
    for name, shape, members, steps in shapes():
        compiled, weights = matmuls(**shape, members=members, steps=steps, devices=jax.devices())
        worker = Worker(side="rnnbench", steps=steps, members=members, **shape)
        timed: dict[str, list[float]] = {"matmuls alone": [], "training step": []}
        for number in range(-1, ROUNDS):
            start = time.perf_counter()
            jax.block_until_ready(compiled(weights))
            seconds = time.perf_counter() - start, worker.time(steps=steps)
            if number >= 0:
                for values, own in zip(timed.values(), seconds, strict=True):
                    values.append(own / steps / members)
        worker.close()
        for part, values in timed.items():
            ms, low, high = (1e3 * f(values) for f in (statistics.median, min, max))
            which = f"{name}, {members} run{'s' * (members > 1)} of {shape['cell']}, {part}"
            a_step = f"{1e3 * ms / shape['length']:.2f} us a time step"
            print(f"{which}: {ms:.2f} ms a step and run ({low:.2f}..{high:.2f}), {a_step}", flush=True)


if __name__ == "__main__":
    main()
