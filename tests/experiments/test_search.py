"""experiments/search: a round is one population, and a killed search resumes with its unfinished round."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

import rnnbench
from tests.helpers import optax_promotion

PATH = Path(__file__).parents[2] / "experiments" / "search" / "search.py"


@pytest.fixture
def study() -> ModuleType:
    spec = importlib.util.spec_from_file_location("search_study", PATH)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_search_resumes_its_round(
    study: ModuleType, tiny: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def kill(*_: object) -> None:
        raise KeyboardInterrupt

    with optax_promotion():
        with monkeypatch.context() as patch:
            patch.setattr(study, "evaluate", kill)
            with pytest.raises(KeyboardInterrupt):
                study.search(tmp_path, tiny, rounds=2, size=3, seeds=2)
        found = study.search(tmp_path, tiny, rounds=2, size=3, seeds=2)
    assert [trial.state.name for trial in found.trials] == ["COMPLETE"] * 6
    runs = rnnbench.load_runs(tmp_path)
    assert runs.groupby("folder").size().tolist() == [6, 6], "a round is one population"
    rates = {trial.params["optimizer.learning_rate"]: trial.value for trial in found.trials}
    medians = runs.groupby("optimizer.learning_rate")["final.mse"].median()
    assert {rate: medians[rate] for rate in rates} == pytest.approx(rates)
