"""What the package offers at its top level, and how little importing it imports."""

import subprocess
import sys

import pytest

import rnnbench
from rnnbench.analysis.tables import load_runs


def test_reading_imports_no_jax_and_importing_imports_next_to_nothing():
    program = (
        "import sys, rnnbench; assert not {'jax', 'pandas', 'numpy', 'pyarrow'} & set(sys.modules);"
        "from rnnbench import load_runs, load_metrics, compose; import rnnbench.figures, rnnbench.figures.page;"
        "assert 'jax' not in sys.modules; assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_the_package_offers_the_loaders_and_nothing_else():
    assert rnnbench.load_runs is load_runs
    assert set(rnnbench.__all__) <= set(dir(rnnbench))
    with pytest.raises(AttributeError, match="no attribute 'load_run'"):
        _ = rnnbench.load_run
