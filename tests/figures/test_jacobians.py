"""Singular values of the Jacobians against the lag, and Lyapunov exponents by their number."""

import numpy as np
import pandas as pd
import pytest

from rnnbench import figures as plots
from rnnbench.errors import UserError
from tests.figures.samples import legend, median_line, rows_of


def test_the_largest_singular_value_is_drawn_against_the_lag(runs):
    spectra = rows_of(runs, kind="singular_value", state="h", lag=[1, 2, 2], number=[0, 0, 1], value=[0.5, 0.25, 9.0])
    both = spectra.assign(state="h,c", value=1.0)
    figure = plots.singular_values(pd.concat([spectra, both]), runs)
    (axes,) = figure.axes
    full, dashed = [line for line in axes.lines if line.get_label() == "GRU"]
    assert full.get_xdata().tolist() == [1, 2]
    np.testing.assert_allclose(full.get_ydata(), [0.5, 0.25])
    assert (full.get_linestyle(), dashed.get_linestyle()) == ("-", "--")
    assert legend(figure) == ["RNN", "GRU", "of h", "of all states"]
    with pytest.raises(UserError, match="no Jacobian was recorded"):
        plots.singular_values(spectra.assign(kind="spectral_radius"), runs)


def test_lyapunov_exponents_are_numbered_from_1(runs):
    spectra = rows_of(runs, kind="lyapunov_exponent", state="h", lag=0, number=[0, 1, 2], value=[0.1, -0.5, -np.inf])
    line = median_line(plots.lyapunov_exponents(spectra, runs).axes[0], "GRU")
    assert line.get_xdata().tolist() == [1, 2]
    np.testing.assert_allclose(line.get_ydata(), [0.1, -0.5])
    with pytest.raises(UserError, match="no Lyapunov exponent was recorded"):
        plots.lyapunov_exponents(spectra.assign(kind="singular_value"), runs)
