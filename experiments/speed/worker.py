"""One side of the comparison in its own process: builds the requested side, then times steps on request.

Reads JSON lines from standard input and answers each with one line. The first line is `{"side": ..., "cell": ...,
"length": ..., "batch": ..., "hidden": ..., ...}`. Each later line, `{"steps": n, ...}`, times n training steps on the
adding problem: data, forward, backward, clipping, Adam.
"""

import json
import os
import platform
import resource
import sys
import time
import warnings
from collections.abc import Callable
from importlib import metadata
from typing import Any

Run = Callable[..., None]
CLIP, LEARNING_RATE = 1.0, 1e-3


def rnnbench_side(cell: str, length: int, batch: int, hidden: int, steps: int, **options: Any) -> tuple[Run, list[str]]:
    """Builds the compiled segment that `rnnbench` trains with, without evaluation, on `devices` CPU devices."""
    import jax

    jax.config.update("jax_num_cpu_devices", options.get("devices", os.cpu_count()))
    import rnnbench
    from rnnbench.training.program import program

    overrides = [
        *(f"model={cell}", "task=adding", f"task.length={length}", f"model.hidden_size={hidden}"),
        *(f"train.batch_size={batch}", f"train.clip_norm={CLIP}", f"optimizer.learning_rate={LEARNING_RATE}"),
        *(f"train.eval_every={steps}", "train.steps=1000000000", "train.test_size=2", "probe.size=2"),
        f"model.remat_every={options.get('remat_every') or 'null'}",
        f"seed=range({options.get('members', 1)})",
    ]
    configs = rnnbench.compose_sweep(*overrides)
    shared = program(configs)
    states = shared.place([shared.init(config) for config in configs])

    def run(steps: int) -> None:
        nonlocal states
        states, scalars = shared.segment(states)
        assert scalars["loss"].shape == (len(configs), steps)
        jax.block_until_ready(states)

    return run, ["jax", "jaxlib", "flax", "optax"]


def flax_side(cell: str, length: int, batch: int, hidden: int, **_: Any) -> tuple[Run, list[str]]:
    """Builds `flax.nnx.RNN`, `nnx.Optimizer` and a step under `nnx.jit`, as in Flax's documentation."""
    import jax
    import jax.numpy as jnp
    import optax
    from flax import nnx

    cells = {"rnn": nnx.SimpleCell, "lstm": nnx.OptimizedLSTMCell, "gru": nnx.GRUCell}

    class Model(nnx.Module):
        def __init__(self, rngs: nnx.Rngs):
            self.rnn = nnx.RNN(cells[cell](2, hidden, rngs=rngs))
            self.readout = nnx.Linear(hidden, 1, rngs=rngs)

        def __call__(self, x: jax.Array) -> jax.Array:
            return self.readout(self.rnn(x)[:, -1])[:, 0]

    model = Model(nnx.Rngs(0))
    update = optax.chain(optax.clip_by_global_norm(CLIP), optax.adam(LEARNING_RATE))
    optimizer = nnx.Optimizer(model, update, wrt=nnx.Param)

    @nnx.jit
    def train_step(model: Model, optimizer: nnx.Optimizer, key: jax.Array) -> jax.Array:
        keys = jax.random.split(key, 3)
        values = jax.random.uniform(keys[0], (batch, length))
        first = jax.random.randint(keys[1], (batch, 1), 0, length // 2)
        second = jax.random.randint(keys[2], (batch, 1), length // 2, length)
        steps = jnp.arange(length)
        marks = jnp.float32((steps == first) | (steps == second))
        x, y = jnp.stack([values, marks], axis=-1), jnp.sum(values * marks, axis=1)
        loss, gradient = nnx.value_and_grad(lambda model: jnp.mean((model(x) - y) ** 2))(model)
        optimizer.update(model, gradient)
        return loss

    key = jax.random.key(0)

    def run(steps: int) -> None:
        nonlocal key
        for _ in range(steps):
            key, step_key = jax.random.split(key)
            loss = train_step(model, optimizer, step_key)
        loss.block_until_ready()

    return run, ["jax", "jaxlib", "flax", "optax"]


def torch_side(cell: str, length: int, batch: int, hidden: int, **_: Any) -> tuple[Run, list[str]]:
    """Builds `torch.nn.RNN`, `LSTM` or `GRU` with time first, which is PyTorch's faster layout."""
    import torch

    warnings.filterwarnings("ignore", message="TF32 acceleration")  # irrelevant on a CPU
    rnn = {"rnn": torch.nn.RNN, "lstm": torch.nn.LSTM, "gru": torch.nn.GRU}[cell](2, hidden)
    readout = torch.nn.Linear(hidden, 1)
    params = [*rnn.parameters(), *readout.parameters()]
    optimizer = torch.optim.Adam(params, lr=LEARNING_RATE)
    every = torch.arange(batch)

    def step() -> None:
        values, marks = torch.rand(length, batch), torch.zeros(length, batch)
        marks[torch.randint(0, length // 2, (batch,)), every] = 1
        marks[torch.randint(length // 2, length, (batch,)), every] = 1
        outputs, _ = rnn(torch.stack([values, marks], -1))
        loss = ((readout(outputs[-1])[:, 0] - (values * marks).sum(0)) ** 2).mean()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(params, CLIP)
        optimizer.step()

    def run(steps: int, threads: int, mkldnn: bool) -> None:
        if torch.get_num_threads() != threads:
            torch.set_num_threads(threads)
        with torch.backends.mkldnn.flags(enabled=mkldnn):
            for _ in range(steps):
                step()

    return run, ["torch"]


def matmul_side(size: int, **_: Any) -> tuple[Run, list[str]]:
    """Builds a large float32 matmul on all cores, which measures the machine's peak."""
    import torch

    left = torch.rand(size, size)

    def run(steps: int) -> None:
        for _ in range(steps):
            left @ left

    return run, ["torch"]


SIDES = {"rnnbench": rnnbench_side, "flax": flax_side, "torch": torch_side, "matmul": matmul_side}


def peak_memory() -> int:
    """Returns the largest resident size of this process so far, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main() -> None:
    """Answers requests until standard input ends."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    sys.stdout = sys.stderr  # so that nothing a library prints is taken for an answer
    request = json.loads(sys.stdin.readline())
    run, packages = SIDES[request.pop("side")](**request)
    before = peak_memory()
    versions = {"python": platform.python_version(), **{name: metadata.version(name) for name in packages}}
    print(json.dumps({"packages": versions}), file=answers, flush=True)
    for line in sys.stdin:
        start = time.perf_counter()
        run(**json.loads(line))
        seconds = time.perf_counter() - start
        print(json.dumps({"seconds": seconds, "bytes": peak_memory() - before}), file=answers, flush=True)


if __name__ == "__main__":
    main()
