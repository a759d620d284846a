"""experiments/cells: what its README says is what its committed records have."""

from pathlib import Path

import pandas as pd
import pytest

from rnnbench import load_runs, load_table
from rnnbench.analysis.statistics import tuned
from tests.helpers import load_script

STUDY = Path(__file__).parents[2] / "experiments" / "cells"


@pytest.fixture(scope="module")
def gradients() -> pd.DataFrame:
    """Returns the table of the study's script, from the committed records."""
    script = load_script(STUDY / "figure.py")
    runs = tuned(load_runs(STUDY / "results"), "optimizer.learning_rate", script.TUNING_SEEDS)
    return script.arriving(load_table(STUDY / "results", "gradient_flow"), runs)


def test_the_committed_table_is_that_of_the_records(gradients: pd.DataFrame) -> None:
    committed = pd.read_csv(STUDY / "figures" / "gradients.csv", index_col="cell")
    pd.testing.assert_frame_equal(committed, gradients.loc[committed.index], rtol=5e-3, check_dtype=False)
    assert len(committed) == len(gradients) == 29


def test_the_readme_counts_by_the_rules_of_its_protocol(gradients: pd.DataFrame) -> None:
    """Rows: learns, partly, does not. Columns: the share at initialisation is kept, in between, lost."""
    solved = gradients["solved"].str[0].astype(int)
    learns = pd.cut(solved, [-1, 0, 3, 5], labels=["does not", "partly", "learns"])
    keeps = pd.cut(
        gradients["at initialisation"], [0, 0.001, 0.1, 10], labels=["loses", "between", "keeps"], right=False
    )
    table = pd.crosstab(learns, keeps).loc[["learns", "partly", "does not"], ["keeps", "between", "loses"]]
    assert table.to_numpy().tolist() == [[0, 3, 7], [2, 2, 1], [10, 3, 1]]
    after = gradients["after training"] >= 0.1
    assert (after.sum(), after[learns == "does not"].sum()) == (26, 11)
