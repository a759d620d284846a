"""Compares statistics with closed forms, hand calculations and simulations."""

import itertools
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import rankdata

from rnnbench.analysis import statistics
from rnnbench.analysis.settings import label_runs
from rnnbench.errors import UserError


def runs(**columns: Any) -> pd.DataFrame:
    """Returns runs as `load_runs` does, one per seed. A column has one value for all runs, or a list."""
    size = max(len(value) for value in columns.values() if isinstance(value, list))
    given = {
        "run_id": [f"{number:012x}" for number in range(size)],
        "status": "finished",
        "step": 100,
        "solved_at": pd.NA,
        "diverged_at": pd.NA,
        "score": "accuracy",
        "score_goal": "max",
        "task.name": "copy",
        "model.name": "lstm",
        "optimizer.learning_rate": 0.01,
        "train.steps": 100,
        "seed": list(range(size)),
        "final.accuracy": 0.5,
        "chance.accuracy": 0.125,
    }
    frame = pd.DataFrame({**given, **columns})
    frame["solved_at"] = frame["solved_at"].astype("Int64")
    return frame


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    # Newcombe (1998), Statistics in Medicine 17: table I, method 3
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0000, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_interval_against_published_values(successes: int, trials: int, low: float, high: float) -> None:
    np.testing.assert_allclose(statistics.wilson_interval(successes, trials), (low, high), atol=5e-5)


def test_wilson_interval_without_a_trial_says_nothing() -> None:
    assert statistics.wilson_interval(0, 0) == (0.0, 1.0)


def test_quantiles_are_numpy_s_and_bear_infinite_values() -> None:
    values = np.random.default_rng(1).normal(size=12)
    for share in (0.0, 0.1, 0.25, 0.5, 0.9, 1.0):
        np.testing.assert_allclose(statistics.quantile(values, share), np.quantile(values, share))
    assert statistics.quantile(np.array([1.0, 2.0, np.inf, np.inf]), 0.25) == 1.75
    assert statistics.quantile(np.array([1.0, np.inf, np.inf, np.inf]), 0.5) == np.inf
    assert np.isnan(statistics.quantile(np.array([]), 0.5))


def test_the_bootstrap_covers_the_median_as_often_as_it_says() -> None:
    rng = np.random.default_rng(2)
    hits = [low <= 0 <= high for low, high in (statistics.bootstrap_median(rng.normal(size=25)) for _ in range(200))]
    assert 0.90 <= np.mean(hits) <= 0.99


@pytest.mark.parametrize("confidence", [0.5, 0.8, 0.95])
@pytest.mark.parametrize("size", [5, 6])
def test_the_bootstrap_is_that_of_all_resamples(size: int, confidence: float) -> None:
    values = 2.0 ** np.random.default_rng(size).permutation(size)
    medians = np.median(values[np.array(list(itertools.product(range(size), repeat=size)))], axis=1)
    expected = np.quantile(medians, [(1 - confidence) / 2, (1 + confidence) / 2])
    assert statistics.bootstrap_median(values, confidence) == tuple(expected)


def test_five_seeds_give_their_range_and_fewer_no_interval() -> None:
    """The range of n seeds holds the true median in a share of 1 - 2^(1-n): .94 of 5, but .88 of 4."""
    rng = np.random.default_rng(3)
    five = rng.normal(size=(2000, 5))
    assert statistics.bootstrap_median(five[0]) == (five[0].min(), five[0].max())
    np.testing.assert_allclose(np.mean((five.min(1) <= 0) & (five.max(1) >= 0)), 1 - 2.0**-4, atol=0.015)
    for n in range(5):
        assert all(np.isnan(statistics.bootstrap_median(rng.normal(size=n))))


@pytest.mark.parametrize("size", [1, 2, 5, 8, 14])
def test_the_signed_rank_test_counts_all_signs(size: int) -> None:
    """The closed form: of all equally likely signs of the ranks, the share whose sum is at least as far from 0."""
    rng = np.random.default_rng(size)
    kinds = [
        np.arange(1.0, 6.0),
        np.array([-np.inf, 0.0, 1.0, 2.0, np.inf]),
        np.array([-1.0, 1.0]),
        rng.normal(size=99),
    ]
    for values in kinds:
        differences = rng.choice(values, size)
        some = differences[differences != 0]
        ranks = rankdata(np.abs(some))
        sums = np.array(list(itertools.product((-1, 1), repeat=len(some)))) @ ranks
        expected = np.mean(np.abs(sums) >= abs(np.sign(some) @ ranks) - 1e-9) if len(some) else np.nan
        np.testing.assert_allclose(statistics.signed_rank_p(differences), expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("differences", "p"),
    [
        ([-np.inf, -1, -2, -3, -4, -5], 0.03125),
        ([-np.inf, -np.inf, -np.inf, -1, -2, -3], 0.03125),
        ([-np.inf, -np.inf, -1, -2, 3, 4], 0.53125),
    ],
)
def test_the_smallest_difference_counts_beside_diverged_runs(differences: list[float], p: float) -> None:
    assert statistics.signed_rank_p(np.array(differences)) == p


@pytest.mark.parametrize(
    ("p", "corrected"),
    [
        ([0.01, 0.04, 0.03, 0.005], [0.03, 0.06, 0.06, 0.02]),  # 4 * .005, 3 * .01, 2 * .03, and .04 not below that
        ([0.5, 0.4], [0.8, 0.8]),
        ([0.6, 0.7], [1, 1]),
        ([0.01, np.nan, 0.02], [0.02, np.nan, 0.02]),  # settings without any difference do not count
        ([np.nan], [np.nan]),
        ([], []),
    ],
)
def test_holm_by_hand(p: list[float], corrected: list[float]) -> None:
    np.testing.assert_allclose(statistics.holm(np.array(p)), corrected)


def test_holm_keeps_false_findings_below_the_level() -> None:
    """Of ten true null hypotheses, at least one is rejected in .40 of the trials without a correction."""
    p = np.random.default_rng(4).uniform(size=(2000, 10))
    assert np.mean((p < 0.05).any(1)) > 0.35
    assert np.mean([(statistics.holm(row) < 0.05).any() for row in p]) == pytest.approx(0.05, abs=0.015)


def test_survival_by_hand() -> None:
    """Six runs: three solved at 10, 20 and 20, two censored at 15 and 30, one diverged at 5, which never solves."""
    six = label_runs(
        runs(
            solved_at=[10, 20, 20, None, None, None],
            status=["finished"] * 5 + ["diverged"],
            step=[100, 100, 100, 15, 30, 5],
        )
    )
    curve = statistics.survival(six)
    assert curve.step.tolist() == [0, 10, 20]
    np.testing.assert_allclose(curve.unsolved, [1, 5 / 6, 5 / 6 * (1 - 2 / 4)])
    assert statistics.median_steps_to_solve(six) == 20
    assert np.isnan(statistics.median_steps_to_solve(six[3:])), "never half of them"


def test_survival_against_the_product_of_kaplan_and_meier() -> None:
    """The runs include ties among solved, censored and diverged runs, and groups where all or none solved the task."""
    rng = np.random.default_rng(3)
    for _ in range(50):
        size = int(rng.integers(1, 15))
        kinds = rng.choice(["solved", "finished", "diverged"], size).tolist()
        times = rng.integers(1, 6, size).tolist()
        few = label_runs(
            runs(
                solved_at=[time if kind == "solved" else None for kind, time in zip(kinds, times, strict=True)],
                status=["diverged" if kind == "diverged" else "finished" for kind in kinds],
                step=times,
            )
        )
        last = [np.inf if kind == "diverged" else time for kind, time in zip(kinds, times, strict=True)]
        expected, share = {0: 1.0}, 1.0
        for step in sorted({time for kind, time in zip(kinds, times, strict=True) if kind == "solved"}):
            solving = sum(kind == "solved" and time == step for kind, time in zip(kinds, times, strict=True))
            share *= 1 - solving / sum(time >= step for time in last)
            expected[step] = share
        curve = statistics.survival(few)
        assert curve.step.tolist() == list(expected)
        np.testing.assert_allclose(curve.unsolved, list(expected.values()), atol=1e-12)


def test_unsolved_runs_are_not_dropped() -> None:
    """The median is 10 among the runs that solved the task, but unknown among all runs."""
    few = label_runs(runs(solved_at=[10, 10, None, None, None]))
    assert np.isnan(statistics.median_steps_to_solve(few))
    [row] = statistics.summarize(few).to_dict("records")
    assert (row["solved"], row["solved_rate"], row["runs"]) == (2, 0.4, 5)


def test_a_diverged_run_is_the_worst_and_not_left_out() -> None:
    three = runs(**{"final.accuracy": [0.9, 0.8, 0.99], "status": ["finished", "finished", "diverged"]})
    [row] = statistics.summarize(label_runs(three)).to_dict("records")
    assert (row["median"], row["finished"], row["diverged"]) == (0.8, 2, 1)
    np.testing.assert_allclose((row["q25"], row["q75"]), (-np.inf, 0.85))
    [row] = statistics.summarize(label_runs(three.assign(score_goal="min"))).to_dict("records")
    assert row["median"] == 0.9
    np.testing.assert_allclose((row["q25"], row["q75"]), (0.85, np.inf))


def test_running_runs_are_left_out() -> None:
    [row] = statistics.summarize(label_runs(runs(status=["finished", "running"]))).to_dict("records")
    assert row["runs"] == 1


def test_pairs_are_of_the_same_seed() -> None:
    """Differences between seeds cancel out: gru is better by 0.1 for each seed, though seeds differ by more."""
    of_seed = [0.1, 0.3, 0.5, 0.7, 0.2, 0.6]
    both = runs(
        **{
            "model.name": ["lstm"] * 6 + ["gru"] * 6,
            "seed": [*range(6), *reversed(range(6))],
            "final.accuracy": [*of_seed, *(value + 0.1 for value in reversed(of_seed))],
        }
    )
    [row] = statistics.paired(label_runs(both)).to_dict("records")
    assert (row["line"], row["other"], row["seeds"]) == ("LSTM", "GRU", 6)
    assert (row["better"], row["equal"], row["worse"]) == (0, 0, 6)
    np.testing.assert_allclose([row["difference"], row["low"], row["high"]], -0.1)
    np.testing.assert_allclose(row["p"], 2 / 2**6)  # all signs equal


@pytest.mark.parametrize(("goal", "counts"), [("max", (2, 1, 3)), ("min", (3, 1, 2))])
def test_pairs_are_counted_by_the_goal_of_the_task(goal: str, counts: tuple[int, int, int]) -> None:
    both = runs(
        **{
            "model.name": ["lstm"] * 6 + ["gru"] * 6,
            "seed": [*range(6), *range(6)],
            "score_goal": goal,
            "final.accuracy": [0.5] * 6 + [0.1, 0.4, 0.5, 0.6, 0.7, 0.8],
        }
    )
    [row] = statistics.paired(label_runs(both)).to_dict("records")
    assert (row["better"], row["equal"], row["worse"]) == counts
    np.testing.assert_allclose(row["difference"], np.median([0.4, 0.1, 0, -0.1, -0.2, -0.3]))


def test_in_a_pair_the_diverged_run_lost() -> None:
    both = runs(
        **{
            "model.name": ["lstm", "lstm", "gru", "gru"],
            "seed": [0, 1, 0, 1],
            "status": ["diverged", "finished", "finished", "finished"],
        }
    )
    [row] = statistics.paired(label_runs(both)).to_dict("records")
    assert (row["better"], row["equal"], row["worse"]) == (0, 1, 1)


def test_a_p_value_with_infinite_differences_counts_every_seed() -> None:
    """The diverged run ranks above the others, and the smallest difference still counts."""
    both = runs(
        **{
            "model.name": ["lstm"] * 5 + ["gru"] * 5,
            "seed": [*range(5), *range(5)],
            "status": ["diverged"] + ["finished"] * 9,
            "final.accuracy": [0.5, 0.5, 0.5, 0.5, 0.5, 0.6, 0.6, 0.7, 0.8, 0.9],
        }
    )
    [row] = statistics.paired(label_runs(both)).to_dict("records")
    np.testing.assert_allclose(row["p"], 2 / 2**5)


def grid(accuracies: dict[tuple[str, float], list[float]]) -> pd.DataFrame:
    """Returns runs with seeds 0, 1, 2, ... for each cell and learning rate."""
    rows = [
        {"model.name": cell, "optimizer.learning_rate": rate, "seed": seed, "final.accuracy": value}
        for (cell, rate), values in accuracies.items()
        for seed, value in enumerate(values)
    ]
    return runs(**{name: [row[name] for row in rows] for name in rows[0]})


def test_tuning_takes_the_best_median_and_reports_fresh_seeds() -> None:
    """0.01 has the best single run, 0.001 the best median. Fresh seeds score worse, and the report shows that."""
    every = grid({("lstm", 0.001): [0.6, 0.6, 0.6, 0.3, 0.3], ("lstm", 0.01): [0.99, 0.1, 0.1, 0.9, 0.9]})
    chosen = statistics.tuned(every, "optimizer.learning_rate", {0, 1, 2})
    assert set(chosen["optimizer.learning_rate"]) == {0.001}
    assert sorted(chosen["seed"]) == [3, 4]
    assert set(chosen["final.accuracy"]) == {0.3}


def test_tuning_is_done_for_each_cell() -> None:
    every = grid(
        {("lstm", 0.001): [0.6, 0.6], ("lstm", 0.01): [0.5, 0.5], ("gru", 0.001): [0.1, 1], ("gru", 0.01): [1, 1]}
    )
    chosen = statistics.tuned(every, "optimizer.learning_rate", {0})
    assert dict(zip(chosen["model.name"], chosen["optimizer.learning_rate"], strict=True)) == {
        "lstm": 0.001,
        "gru": 0.01,
    }


def test_tuning_is_done_for_each_task_and_by_its_goal() -> None:
    """Each task has a setting that the other lacks. For the adding problem, the smallest error is the best."""
    copy = grid({("lstm", 0.001): [0.6, 0.6], ("lstm", 0.01): [0.5, 0.5]}).assign(**{"task.symbols": 8.0})
    adding = copy.assign(**{"task.name": "adding", "task.symbols": np.nan, "task.length": 50.0, "score_goal": "min"})
    chosen = statistics.tuned(pd.concat([copy, adding]), "optimizer.learning_rate", {0})
    assert dict(zip(chosen["task.name"], chosen["optimizer.learning_rate"], strict=True)) == {
        "copy": 0.001,
        "adding": 0.01,
    }


def test_unequal_budgets_are_refused() -> None:
    every = grid({("lstm", 0.001): [0.6, 0.6], ("lstm", 0.01): [0.5, 0.5], ("gru", 0.001): [0.1, 1]})
    lstm, gru = "lstm: 2 values with seeds 0 for 100 steps", "gru: 1 value with seeds 0 for 100 steps"
    with pytest.raises(UserError, match=rf"not tuned with equal budgets on copy \({lstm}; {gru}\)"):
        statistics.tuned(every, "optimizer.learning_rate", {0})
    # As many values, runs and steps in total, but one value of the LSTM got two of its three runs.
    every = grid(
        {("lstm", 0.001): [0.6], ("lstm", 0.01): [0.5, 0.5, 0.5], ("gru", 0.001): [1, 1], ("gru", 0.01): [1, 1]}
    )
    with pytest.raises(
        UserError, match=r"lstm: 1 value with seeds 0 for .*, 1 value with seeds 0, 1, 2 for .*; gru: 2"
    ):
        statistics.tuned(every, "optimizer.learning_rate", {0, 1, 2})
    every = grid({("lstm", 0.001): [0.6, 0.6], ("lstm", 0.01): [0.5, 0.5]})
    with pytest.raises(UserError, match=r"no run of the chosen .* has a fresh seed"):
        statistics.tuned(every[every["model.name"] == "lstm"], "optimizer.learning_rate", {0, 1})
    sizes = every.assign(**{"model.hidden_size": [32, 64, 32, 64]})
    with pytest.raises(UserError, match=r"lstm on copy: expected runs .* but they also differ in model\.hidden_size"):
        statistics.tuned(sizes, "optimizer.learning_rate", {0, 1})
    with pytest.raises(UserError, match="expected a key of the runs' configuration"):
        statistics.tuned(every, "optimizer.rate", {0})
