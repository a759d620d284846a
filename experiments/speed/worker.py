"""One side of the comparison in its own process: builds the requested side, then times steps on request.

Reads JSON lines from standard input and answers each with one line. The first line is `{"side": ..., "cell": ...,
"length": ..., "batch": ..., "hidden": ..., ...}`. Each later line, `{"steps": n, ...}`, times n training steps on the
adding problem: data, forward, backward, clipping, Adam.
"""

import contextlib
import ctypes
import importlib
import json
import os
import platform
import resource
import sys
import time
import warnings
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

Run = Callable[..., None]
CLIP, LEARNING_RATE = 1.0, 1e-3


class Side(NamedTuple):
    """One side of the comparison.

    Attributes:
        run: takes the requested number of training steps.
        packages: the packages whose versions matter.
        program: rnnbench's compiled program.
    """

    run: Run
    packages: list[str]
    program: Any = None


def rnnbench_side(cell: str, length: int, batch: int, hidden: int, steps: int, **options: Any) -> Side:
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
    shared.compile()
    states = shared.place([shared.init(config) for config in configs])

    def run(steps: int) -> None:
        nonlocal states
        states, scalars = shared.segment(states)
        assert scalars["loss"].shape == (len(configs), steps)
        jax.block_until_ready(states)

    return Side(run, ["jax", "jaxlib", "flax", "optax"], shared)


def flax_side(cell: str, length: int, batch: int, hidden: int, **_: Any) -> Side:
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

    return Side(run, ["jax", "jaxlib", "flax", "optax"])


TORCH = {
    "rnn": "torch.nn.RNN",
    "irnn": "torch.nn.RNN",
    "lstm": "torch.nn.LSTM",
    "lstm_projected": "torch.nn.LSTM",
    "gru": "torch.nn.GRU",
    "antisymmetric": "torchrecurrent.AntisymmetricRNN",
    "cornn": "torchrecurrent.coRNN",
    "indrnn": "torchrecurrent.IndRNN",
    "janet": "torchrecurrent.JANET",
    "lem": "torchrecurrent.LEM",
    "lstm_peephole": "torchrecurrent.PeepholeLSTM",
    "mgu": "torchrecurrent.MGU",
    "scrn": "torchrecurrent.SCRN",
}
"""What PyTorch has for a cell, with its own defaults but for the sizes and what `TORCH_OPTIONS` says."""

TORCH_OPTIONS: dict[str, Callable[[int], dict[str, Any]]] = {
    "irnn": lambda hidden: {"nonlinearity": "relu"},
    "lstm_projected": lambda hidden: {"hidden_size": 2 * hidden, "proj_size": hidden},
}


def torch_side(cell: str, length: int, batch: int, hidden: int, **_: Any) -> Side:
    """Builds a layer of `TORCH` with time first, which is PyTorch's faster layout."""
    import torch

    warnings.filterwarnings("ignore", message="TF32 acceleration")  # irrelevant on a CPU
    package, _, name = TORCH[cell].rpartition(".")
    layer = getattr(importlib.import_module(package), name)
    rnn = layer(**{"input_size": 2, "hidden_size": hidden, **TORCH_OPTIONS.get(cell, lambda _: {})(hidden)})
    # As XLA does: gradients that vanish become subnormal numbers, which make a step several times as long on some CPUs.
    torch.set_flush_denormal(True)
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

    return Side(run, ["torch", package.partition(".")[0]])


def matmul_side(size: int, library: str = "torch", **_: Any) -> Side:
    """Builds a large float32 matmul on all cores, which measures the machine's peak, in torch or jax.

    Which library comes nearest to the peak depends on the processor.
    """
    if library == "torch":
        import torch

        left = torch.rand(size, size)

        def once() -> None:
            left @ left

    else:
        import jax

        drawn = jax.random.normal(jax.random.key(0), (size, size))
        multiply = jax.jit(lambda x: x @ x)

        def once() -> None:
            multiply(drawn).block_until_ready()

    def run(steps: int) -> None:
        for _ in range(steps):
            once()

    return Side(run, [library])


SIDES = {"rnnbench": rnnbench_side, "flax": flax_side, "torch": torch_side, "matmul": matmul_side}


def peak_memory() -> int:
    """Returns the largest resident size of this process, since `forget_peak` where that works, in bytes."""
    with contextlib.suppress(OSError, StopIteration):
        lines = Path("/proc/self/status").read_text().splitlines()
        return 1024 * int(next(line for line in lines if line.startswith("VmHWM")).split()[1])
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def forget_peak() -> None:
    """Lets the peak be that of what follows, without what the process needed earlier, such as for compiling (Linux)."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
        Path("/proc/self/clear_refs").write_text("5")


def main() -> None:
    """Answers requests until standard input ends."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    sys.stdout = sys.stderr  # so that nothing a library prints is taken for an answer
    request = json.loads(sys.stdin.readline())
    side = SIDES[request.pop("side")](**request)
    versions = {"python": platform.python_version(), **{name: metadata.version(name) for name in side.packages}}
    planned = None if side.program is None else 1e6 * side.program.megabytes
    print(json.dumps({"packages": versions, "planned_bytes": planned}), file=answers, flush=True)
    for line in sys.stdin:
        forget_peak()
        before = peak_memory()
        start = time.perf_counter()
        side.run(**json.loads(line))
        seconds = time.perf_counter() - start
        print(json.dumps({"seconds": seconds, "bytes": peak_memory() - before}), file=answers, flush=True)


if __name__ == "__main__":
    main()
