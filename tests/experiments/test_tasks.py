"""experiments/tasks: its figure has every task, and shows how far each score is on the way from chance to perfect."""

import json
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from rnnbench import load_runs
from rnnbench.config.compose import compose_sweep
from tests.helpers import load_script

STUDY = Path(__file__).parents[2] / "experiments" / "tasks"
script = load_script(STUDY / "figure.py")


def test_the_figure_has_every_task_of_the_study() -> None:
    in_figure = [task for tasks in script.FAMILIES.values() for task in tasks]
    assert len(in_figure) == len({*in_figure})
    configs = compose_sweep("+experiment=tasks", "seed=0", "model=gru")
    assert {config.task["name"] for config in configs} == {*in_figure}


def test_scores_are_placed_between_chance_and_perfect() -> None:
    def runs(task: str, score: str, goal: str, chance: float, finals: list[float]) -> pd.DataFrame:
        return pd.DataFrame(
            {
                "run_id": [f"{task}{seed}" for seed in range(len(finals))],
                "status": "finished",
                "step": 9,
                "solved_at": [1.0, None, None],
                "score": score,
                "score_goal": goal,
                "seed": range(len(finals)),
                "model.name": "gru",
                "task.name": task,
                f"final.{score}": finals,
                f"chance.{score}": chance,
            }
        )

    table = script.table(
        pd.concat(
            [
                runs("parity", "accuracy", "max", 0.5, [0.6, 1.0, 0.9]),
                runs("adding", "mse", "min", 0.2, [0.05, 0.3, 0.1]),
            ]
        )
    ).set_index("task")
    assert table.loc["parity", ["lowest", "median", "highest", "solved", "seeds"]].tolist() == [0.6, 0.9, 1.0, 1, 3]
    assert table.loc["parity", "share"] == pytest.approx(0.8)
    assert table.loc["adding", "share"] == pytest.approx(0.5)


@pytest.fixture(scope="module")
def found() -> pd.DataFrame:
    """Returns the table of the study's script, from the committed records."""
    return script.table(load_runs(STUDY / "results"))


def test_the_committed_tables_are_those_of_the_records(found: pd.DataFrame) -> None:
    committed = pd.read_csv(STUDY / "figures" / "scores.csv")
    pd.testing.assert_frame_equal(committed, found, rtol=1e-3, check_dtype=False)
    claims = pd.read_csv(STUDY / "figures" / "claims.csv")
    pd.testing.assert_frame_equal(claims, script.claims(found, load_runs(STUDY / "pairs")), check_dtype=False)
    assert claims["verdict"].tolist() == ["holds in part", "undecided", "does not hold", "holds", "holds", "holds"]


def test_the_readme_counts_what_is_solved(found: pd.DataFrame) -> None:
    solves = found["solved"] >= script.LEAST
    assert solves.groupby(found["cell"]).sum().to_dict() == {"rnn": 11, "lstm": 19, "gru": 18}
    by_task = solves.groupby(found["task"])
    assert (by_task.ngroups, (by_task.sum() == 0).sum()) == (35, 15)
    assert (found["seeds"] == 3).all()
    assert script.in_words(found) in (STUDY / "README.md").read_text()


def test_claims_follow_from_what_is_solved() -> None:
    def verdicts(**solved_by: list[str]) -> list[str]:
        rows = [
            {"task": task, "cell": cell, "solved": 3 if cell in solved_by.get(task, []) else 1}
            for task in (*script.REGULAR, "anbn", "dyck")
            for cell in script.CELLS
        ]
        pairs = pd.DataFrame(
            [
                {"model.name": cell, "task.pairs": count, "final.accuracy": accuracy}
                for cell, medians in {"rnn": [0.9, 0.5, 0.2], "lstm": [0.9, 0.9, 0.2], "gru": [0.2, 0.5, 0.9]}.items()
                for count, accuracy in zip((2, 8, 16), medians, strict=True)
            ]
        )
        return script.claims(pd.DataFrame(rows), pairs)["verdict"].tolist()

    of_pairs = ["holds", "does not hold", "does not hold"]
    assert verdicts() == ["does not hold", "undecided", "undecided", *of_pairs]
    assert verdicts(parity=["rnn", "lstm"], anbn=["lstm"], dyck=["lstm", "gru"]) == [
        *("holds in part", "holds", "does not hold"),
        *of_pairs,
    ]
    assert verdicts(**{task: ["rnn", "lstm"] for task in script.REGULAR})[0] == "holds"


def test_padding_is_timed_beside_sequences_without_it() -> None:
    script = "import json, padding; print(json.dumps(padding.compare('rnn', 4, rounds=1)))"
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=STUDY, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    for kind in ("full", "mean"):
        ratio = found["padded"]["median"] / found[kind]["median"]
        assert found[f"padded_by_{kind}"]["median"] == pytest.approx(ratio)
