"""Every test runs with JAX's strictest promotion rules, and shapes and types are checked at every call."""

import os

# The suite runs in as many processes as there are cores: let none of them take all cores for its linear algebra.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
# No test reaches an account.
os.environ["WANDB_MODE"] = "offline"
os.environ.pop("HYDRA_FULL_ERROR", None)

import jax

jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_numpy_dtype_promotion", "strict")
