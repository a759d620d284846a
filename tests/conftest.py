"""Makes every test use JAX's strictest promotion rules, and checks shapes and types at every call."""

import os
from pathlib import Path

# The suite runs one process per core, so no process may use all cores for its linear algebra.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
# Tests spend most of their time compiling, so compile with few optimisations.
os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} --xla_backend_optimization_level=0"
# Most programs are needed by several tests and processes, and again by the next run of the suite. `make clean` deletes
# them, and `JAX_ENABLE_COMPILATION_CACHE=false` compiles them all again.
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(Path(__file__).parents[1] / ".pytest_cache" / "programs"))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "-1")
# No test may reach a wandb account.
os.environ["WANDB_MODE"] = "offline"
os.environ.pop("HYDRA_FULL_ERROR", None)

from collections.abc import Callable, Iterator

import jax
import pytest

import rnnbench
from rnnbench.config.schema import Config
from tests.helpers import optax_promotion

jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_numpy_dtype_promotion", "strict")
# Use several devices, as on a machine with several cores or accelerators.
jax.config.update("jax_num_cpu_devices", 4)
jax.devices()  # starts the backend, after which their number is fixed
# No test cuts the power, and waiting for the disk takes a quarter of the time.
os.fsync = lambda descriptor: None


TINY = [
    *("task=adding", "task.length=6", "model.hidden_size=4", "probe.size=4", "train.steps=8", "train.eval_every=4"),
    *("train.log_every=2", "train.batch_size=8", "train.test_size=16", "report=false"),
]


@pytest.fixture(scope="session")
def tiny() -> list[str]:
    """Returns command line overrides that shrink the configuration."""
    return list(TINY)


@pytest.fixture
def compose() -> Iterator[Callable[..., Config]]:
    """Yields a function that composes the real configuration, shrunk, with more overrides, for tests that train."""

    def compose_tiny(*overrides: str) -> Config:
        return rnnbench.compose(*TINY, *overrides)

    with optax_promotion():
        yield compose_tiny
