"""What the states remember of the first input, step by step."""

import numpy as np
import pandas as pd
import pytest

from rnnbench import figures as plots
from rnnbench.errors import UserError
from tests.figures.samples import rows_of


def test_memory_of_h_and_of_all_states(runs):
    memory = rows_of(runs, state="h", time=[0, 1], r2=[1.0, 0.2])
    (axes,) = plots.memory(pd.concat([memory, memory.assign(state="h,c", r2=0.9)]), runs).axes
    full, dashed = [line for line in axes.lines if line.get_label() == "RNN"]
    np.testing.assert_allclose(full.get_ydata(), [1, 0.2])
    np.testing.assert_allclose(dashed.get_ydata(), 0.9)
    with pytest.raises(UserError, match="no memory was recorded"):
        plots.memory(memory.assign(r2=np.nan), runs)
