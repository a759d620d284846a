"""The conditional random field, against all sequences of tags of short sentences."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnnbench.tasks.text.crf import log_likelihood, log_partition, viterbi

TAGS = 3


def score(potentials: np.ndarray, tags: tuple[int, ...]) -> float:
    return sum(potentials[step, before, tag] for step, (before, tag) in enumerate(itertools.pairwise((0, *tags))))


@pytest.mark.parametrize("length", [1, 2, 5])
@pytest.mark.parametrize("padding", [0, 2])
def test_all_sequences_are_summed_and_the_best_is_found(length: int, padding: int) -> None:
    potentials = 2 * np.random.default_rng(length).normal(size=(length + padding, TAGS, TAGS))
    scores = {tags: score(potentials, tags) for tags in itertools.product(range(TAGS), repeat=length)}
    total = np.log(np.sum(np.exp([*scores.values()])))
    mask = jnp.arange(length + padding) < length
    given = jnp.asarray(potentials, jnp.float32)
    assert jax.jit(log_partition)(given, mask) == pytest.approx(total, abs=1e-4)
    best = max(scores, key=scores.__getitem__)
    assert jax.jit(viterbi)(given, mask)[:length].tolist() == [*best]
    for tags in (best, (2,) * length):
        found = jax.jit(log_likelihood)(given, jnp.array([*tags, *[1] * padding]), mask)
        assert found == pytest.approx(scores[tags] - total, abs=1e-4)


def test_the_gradient_is_what_is_there_less_what_is_expected() -> None:
    """d log p / d psi_t[i, j] is 1 for the pairs of the tags, less the probability of the pair."""
    potentials = np.random.default_rng(0).normal(size=(3, TAGS, TAGS))
    tags = (2, 0, 1)
    expected = np.zeros_like(potentials)
    every = [*itertools.product(range(TAGS), repeat=3)]
    weights = np.exp([score(potentials, own) for own in every])
    for own, weight in [(tags, 1.0), *zip(every, -weights / weights.sum(), strict=True)]:
        for step, pair in enumerate(itertools.pairwise((0, *own))):
            expected[(step, *pair)] += weight
    gradient = jax.grad(log_likelihood)(jnp.asarray(potentials, jnp.float32), jnp.array(tags), jnp.ones(3, bool))
    np.testing.assert_allclose(gradient, expected, atol=1e-5)


def test_scores_of_different_sizes_do_not_overflow() -> None:
    potentials = jnp.full((4, TAGS, TAGS), 1e4)
    mask = jnp.ones(4, bool)
    assert log_likelihood(potentials, jnp.zeros(4, int), mask) == pytest.approx(-4 * np.log(TAGS), rel=1e-3)
