"""experiments/tasks: its figure has every task, and shows how far each score is on the way from chance to perfect."""

from pathlib import Path

import pandas as pd
import pytest

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
