"""experiments/sizes: what its README says is what its committed records have."""

from pathlib import Path

import pandas as pd
import pytest

from rnnbench import load_runs
from tests.helpers import load_script

STUDY = Path(__file__).parents[2] / "experiments" / "sizes"


@pytest.fixture(scope="module")
def scores() -> pd.DataFrame:
    """Returns the table of the study's script, from the committed records."""
    script = load_script(STUDY / "figure.py")
    return script.medians(script.tuned_by_size(load_runs(STUDY / "results")))


def test_the_committed_table_is_that_of_the_records(scores: pd.DataFrame) -> None:
    committed = pd.read_csv(STUDY / "figures" / "scores.csv")
    pd.testing.assert_frame_equal(committed, scores, rtol=5e-4, check_dtype=False)
    assert len(committed) == 7 * 4


def test_the_readme_follows_the_rules_of_its_protocol(scores: pd.DataFrame) -> None:
    def ahead_of(budget: int, cell: str) -> set[str]:
        own = scores[scores["budget"] == budget].set_index("cell")
        return {*own.index[own["highest"] < own.loc[cell, "lowest"]]}

    others = {*scores["cell"]} - {"LRU"}
    assert [ahead_of(budget, "LRU") for budget in (500, 2000)] == [others, others]
    assert [ahead_of(budget, "LRU") for budget in (8000, 32000)] == [others - {"RNN"}] * 2
    assert ahead_of(8000, "RNN") >= {"LSTM", "GRU"}
    assert not any(ahead_of(budget, "LSTM") for budget in (500, 2000, 8000))
    assert not any(ahead_of(budget, "IRNN") for budget in (500, 2000, 8000, 32000))
    by = [scores[size].corr(scores["median"], method="spearman") for size in ("parameters", "state")]
    assert by == pytest.approx([0.66, 0.72], abs=5e-3)
