"""What holds for every built-in probe."""

from collections.abc import Iterator
from functools import partial

import jax
import pytest
from flax import nnx
from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn

from rnnbench.cells import LSTM
from rnnbench.model import Model
from rnnbench.probes.base import answer_step
from rnnbench.probes.finding import built_in
from rnnbench.tasks import Adding

DECOMPOSITIONS = {"svd", "qr", "geqrf", "householder_product", "eigh", "eig", "cholesky", "lu", "triangular_solve"}


@pytest.mark.parametrize("name", built_in())
def test_no_probe_decomposes_a_batch_of_matrices(name: str) -> None:
    """On a CPU, two batched decompositions at once wait for each other for ever: each needs the whole thread pool."""
    task = Adding(8)
    model = Model(partial(LSTM, peepholes=True), task, hidden_size=4, num_layers=2, rngs=nnx.Rngs(0))
    graphdef, params = nnx.split(model)
    batch = task.probe_set(5)
    probe, answer = built_in()[name](), answer_step(task, batch)
    program = jax.make_jaxpr(lambda params: probe.measure(nnx.merge(graphdef, params), task, batch, answer))(params)
    ranks = [
        variable.aval.ndim
        for equation in equations(program.jaxpr)
        if equation.primitive.name in DECOMPOSITIONS
        for variable in equation.invars
    ]
    assert max(ranks, default=2) == 2
    assert bool(ranks) == (name in ("jacobians", "memory")), "the test sees the decompositions that there are"


def equations(jaxpr: Jaxpr) -> Iterator[JaxprEqn]:
    """Yields the equations of a program and of all functions within it."""
    for equation in jaxpr.eqns:
        yield equation
        for value in equation.params.values():
            for inner in value if isinstance(value, list | tuple) else [value]:
                if isinstance(inner, ClosedJaxpr | Jaxpr):
                    yield from equations(getattr(inner, "jaxpr", inner))
