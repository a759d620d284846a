"""Measures of a gradient's decay, for geometric norms with a known rate."""

import numpy as np
import pytest

from rnnbench.probes.decay import decay


@pytest.mark.parametrize("scale", [0.5, 0.9, 1.1])
def test_geometric_norms_give_their_rate(scale):
    """g_t = s^(T - t) has the rate r = -log s."""
    norms = 3 * scale ** np.arange(9.0, -1, -1)
    found = decay(norms)
    assert found["decay_rate"] == pytest.approx(-np.log(scale))
    half_life = np.log(0.5) / np.log(scale) if scale < 1 else np.inf
    assert found["half_life"] == pytest.approx(half_life)
    assert found["first_to_last"] == pytest.approx(scale**9)
    assert found["vanished"] == found["exploded"] == 0


def test_shares_are_of_the_steps_up_to_the_last_with_a_gradient():
    norms = np.array([0.0, 1e-9, 5e-7, 2e-6, 5e3, 1.0, 0.0, 0.0])
    found = decay(norms)
    assert found["vanished"] == pytest.approx(3 / 6)
    assert found["exploded"] == pytest.approx(1 / 6)
    assert found["first_to_last"] == 0


@pytest.mark.parametrize("norms", [[0.0, 0.0], [0.0, 1.0], [1.0], [np.nan, 1.0], [np.inf, 1.0, 2.0]])
def test_without_two_gradients_there_is_no_rate(norms):
    assert all(np.isnan(value) for value in decay(np.array(norms)).values())
