"""JAX switches that would change a run's numbers are refused by name, and nothing is written."""

import os
import subprocess
import sys
from pathlib import Path

import jax
import pytest

from rnnbench.errors import UserError
from rnnbench.training.switches import NEEDED, USABLE, refuse_switches

ROOT = Path(__file__).parents[2]


def train(tiny: list[str], cwd: Path, **env: str) -> tuple[int, str]:
    command = [sys.executable, "-m", "rnnbench", *tiny, "train.steps=1"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)} | env
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=120, check=False)
    return done.returncode, done.stderr


def test_by_the_environment(tiny: list[str], tmp_path: Path) -> None:
    code, said = train(tiny, tmp_path, JAX_ENABLE_X64="1")
    assert code == 2
    assert said.startswith(
        "rnnbench: error: JAX_ENABLE_X64: expected false, got true: it would change the numbers of a "
    )
    assert "unset JAX_ENABLE_X64 in the environment" in said
    assert said.count("\n") == 1
    assert not (tmp_path / "results").exists()


def test_switches_that_only_raise_errors_are_free(tiny: list[str], tmp_path: Path) -> None:
    strict = {"JAX_NUMPY_DTYPE_PROMOTION": "strict", "JAX_NUMPY_RANK_PROMOTION": "raise"}
    code, said = train(tiny, tmp_path, JAX_DEBUG_NANS="1", JAX_LOGGING_LEVEL="ERROR", JAX_NUM_CPU_DEVICES="0", **strict)
    assert code == 0, said


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("JAX_NUM_CPU_DEVICES", "x", "JAX_NUM_CPU_DEVICES: JAX does not take 'x'; unset it in the environment"),
        ("JAX_ENABLE_X64", "maybe", "JAX_ENABLE_X64: JAX does not take 'maybe'; unset it in the environment"),
        ("JAX_NUMPY_RANK_PROMOTION", "x", "JAX_NUMPY_RANK_PROMOTION: JAX does not take 'x'; unset it"),
        ("JAX_DISABLE_JIT", "1", "JAX_DISABLE_JIT: expected false, got true: nothing can be trained with it; unset"),
        ("JAX_DEFAULT_DEVICE", "gpu", "JAX_DEFAULT_DEVICE: expected nothing, got gpu: nothing can be trained with it;"),
        ("SLURM_CPUS_PER_TASK", "x", "SLURM_CPUS_PER_TASK: expected a whole number, 1 or more, got 'x'; Slurm sets"),
    ],
)
def test_what_jax_refuses_or_cannot_train_with_is_one_line(
    tiny: list[str], tmp_path: Path, name: str, value: str, message: str
) -> None:
    code, said = train(tiny, tmp_path, **{name: value})
    assert (code, said.count("\n")) == (2, 1)
    assert said.startswith(f"rnnbench: error: {message}")
    assert not (tmp_path / "results").exists()


def test_probing_says_the_same_of_what_jax_refuses(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "rnnbench", "probe", str(tmp_path)],
        env=os.environ | {"PYTHONPATH": str(ROOT), "JAX_NUM_CPU_DEVICES": "x"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert done.stderr.startswith("rnnbench: error: JAX_NUM_CPU_DEVICES: JAX does not take 'x'; unset it")


@pytest.mark.parametrize(
    ("switch", "value", "message"),
    [
        ("jax_enable_x64", True, "JAX_ENABLE_X64: expected false, got true"),
        ("jax_explicit_x64_dtypes", "allow", "JAX_EXPLICIT_X64_DTYPES: expected warn or error, got allow"),
        ("jax_default_matmul_precision", "bfloat16", "JAX_DEFAULT_MATMUL_PRECISION: expected nothing, got bfloat16"),
        ("jax_default_matmul_precision", "bfloat16", "train.matmul_precision sets it for a run's training steps"),
        ("jax_default_prng_impl", "rbg", "JAX_DEFAULT_PRNG_IMPL: expected threefry2x32, got rbg"),
        ("jax_threefry_partitionable", False, "JAX_THREEFRY_PARTITIONABLE: expected true, got false"),
        ("jax_random_seed_offset", 1, "JAX_RANDOM_SEED_OFFSET: expected 0, got 1"),
        ("jax_high_dynamic_range_gumbel", True, "JAX_HIGH_DYNAMIC_RANGE_GUMBEL: expected false, got true"),
        ("jax_no_tracing", True, "JAX_NO_TRACING: expected false, got true: nothing can be trained with it"),
        ("jax_transfer_guard", "disallow", "JAX_TRANSFER_GUARD: expected nothing or allow or log, got disallow"),
    ],
)
def test_by_code(switch: str, value: object, message: str) -> None:
    refuse_switches()
    before = getattr(jax.config, switch)
    jax.config.update(switch, value)
    try:
        with pytest.raises(UserError) as error:
            refuse_switches()
    finally:
        jax.config.update(switch, before)
    assert message in str(error.value)
    refuse_switches()


def test_every_switch_is_one_of_jax() -> None:
    assert {*NEEDED, *USABLE} <= set(jax.config.values)
