"""Statistics of runs, from and to pandas tables: what the seeds show, and how certain it is.

All functions except `tuned` take the result of `analysis.settings.label_runs`: one row per run, with its panel (task),
line (setting), seed, status, result, score_goal, solved_at and reached. Runs that are still training are left out.
Diverged runs are included: their result counts as worse than any other, and they never solve their task. Nothing here
reports the best of several seeds.
"""

from collections import Counter
from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
import pandas as pd

from rnnbench.analysis.settings import config_keys, label_runs
from rnnbench.errors import UserError

CONFIDENCE = 0.95
RESAMPLES = 9999
MIN_SEEDS = 5
"""Fewer seeds get no interval of their median, see `bootstrap_median`."""

SEED = 0
"""Seed of the bootstrap, so that the same runs give the same intervals."""

SETTING = ("panel", "line")
"""Columns that identify a setting."""


def summarize(labelled: pd.DataFrame, by: Sequence[str] = SETTING) -> pd.DataFrame:
    """Returns one row per setting.

    Columns: those in `by`; score; runs, finished, diverged; median, q25 and q75 of the results; low and high (a
    bootstrap interval of the median over seeds, NaN for fewer than `MIN_SEEDS`); solved, solved_rate with Wilson's
    interval solved_low..solved_high; steps_to_solve (`median_steps_to_solve`).
    """
    rows = []
    for key, group in _settings(labelled, by):
        results = results_of(group)
        low, high = bootstrap_median(results)
        solved = int(group["solved_at"].notna().sum())
        solved_low, solved_high = wilson_interval(solved, len(group))
        rows.append(
            {
                **dict(zip(by, key, strict=True)),
                "score": group["score"].iloc[0],
                "runs": len(group),
                "finished": int((group["status"] == "finished").sum()),
                "diverged": int((group["status"] == "diverged").sum()),
                "median": quantile(results, 0.5),
                "q25": quantile(results, 0.25),
                "q75": quantile(results, 0.75),
                "low": low,
                "high": high,
                "solved": solved,
                "solved_rate": solved / len(group),
                "solved_low": solved_low,
                "solved_high": solved_high,
                "steps_to_solve": median_steps_to_solve(group),
            }
        )
    return pd.DataFrame(rows)


def results_of(labelled: pd.DataFrame) -> "np.ndarray[tuple[int], np.dtype[np.float64]]":
    """Returns each run's final score. That of a diverged run is infinitely bad."""
    worst = np.where(labelled["score_goal"] == "max", -np.inf, np.inf)
    diverged = (labelled["status"] == "diverged").to_numpy()
    return np.where(diverged, worst, labelled["result"].to_numpy(float))


def quantile(values: "np.ndarray[tuple[int], np.dtype[np.float64]]", share: float) -> float:
    """Returns a quantile by linear interpolation (Hyndman & Fan's type 7). Values may be infinite."""
    ordered = np.sort(values)
    if len(ordered) == 0:
        return float("nan")
    place = share * (len(ordered) - 1)
    below, above = ordered[int(np.floor(place))], ordered[int(np.ceil(place))]
    weight = place - np.floor(place)
    if weight == 0 or below == above or below == -np.inf:
        return float(below)
    return float(below + weight * (above - below))


def wilson_interval(successes: int, trials: int, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Returns Wilson's score interval of a rate (Wilson 1927), which is valid for few trials and for rates of 0 and 1.

    With p = successes / trials, n = trials and z the normal quantile of `confidence`:

        (p + z^2 / 2n -+ z sqrt(p (1 - p) / n + z^2 / 4n^2)) / (1 + z^2 / n)
    """
    from scipy.stats import binomtest

    if trials == 0:
        return 0.0, 1.0
    interval = binomtest(successes, trials).proportion_ci(confidence, method="wilson")
    return float(interval.low), float(interval.high)


def bootstrap_median(
    values: "np.ndarray[tuple[int], np.dtype[np.float64]]", confidence: float = CONFIDENCE
) -> tuple[float, float]:
    """Returns a percentile bootstrap interval of the median over seeds, or NaN for fewer than `MIN_SEEDS`.

    The interval lies within the range of the n results, which holds the true median with probability 1 - 2^(1-n): .5
    with 2 seeds, .75 with 3, .88 with 4, .94 with 5. No interval from fewer seeds comes near a confidence of .95.
    """
    if len(values) < MIN_SEEDS:
        return float("nan"), float("nan")
    # A resampled median only needs the middle of n sorted uniform draws, and the draw after it if n is even.
    n, middle = len(values), (len(values) - 1) // 2
    rng = np.random.default_rng(SEED)
    draw = rng.beta(middle + 1, n - middle, size=RESAMPLES)
    after = draw if n % 2 else draw + (1 - draw) * rng.beta(1, n - middle - 1, size=RESAMPLES)
    low, high = (np.sort(values)[np.minimum(n * u, n - 1).astype(int)] for u in (draw, after))
    medians = (low + high) / 2
    tail = (1 - confidence) / 2
    return quantile(medians, tail), quantile(medians, 1 - tail)


def survival(labelled: pd.DataFrame) -> pd.DataFrame:
    """Returns the share of runs that have not solved their task by each step (Kaplan & Meier 1958).

        S(t) = product over t_i <= t of (1 - d_i / n_i)

    where d_i runs solve the task at step t_i, and n_i runs had not solved it and were still training. A run that ends
    unsolved is censored at its last step. A diverged run stays unsolved for ever.

    Columns: step and unsolved, starting at step 0.
    """
    from scipy.stats import CensoredData, ecdf

    solved = labelled["solved_at"].notna().to_numpy()
    solved_at = labelled["solved_at"].to_numpy(float, na_value=np.nan)[solved]
    last = labelled["reached"].to_numpy(float)
    for_ever = max([*last, *solved_at], default=0.0)  # scipy accepts only finite times
    last = np.where(labelled["status"] == "diverged", for_ever, last)[~solved]
    curve = ecdf(CensoredData(uncensored=solved_at, right=last)).sf
    at = np.isin(curve.quantiles, solved_at)
    return pd.DataFrame(
        {"step": [0, *curve.quantiles[at].astype(int)], "unsolved": [1.0, *curve.probabilities[at]]},
    )


def median_steps_to_solve(labelled: pd.DataFrame) -> float:
    """Returns the first step by which half of the runs have solved the task, or NaN if fewer ever do."""
    curve = survival(labelled)
    reached = curve["step"][curve["unsolved"] <= 0.5 + 1e-12]
    return float(reached.iloc[0]) if len(reached) else float("nan")


def paired(labelled: pd.DataFrame) -> pd.DataFrame:
    """Compares each pair of settings of a task seed by seed, since equal seeds draw equal data.

    Columns: panel, line and other; seeds (number of seeds that both have); better, equal and worse (number of seeds in
    which `line` is so); difference (median over seeds of line - other) with its bootstrap interval low..high; p
    (two-sided Wilcoxon signed-rank test, NaN without any difference) and p_holm (the same, corrected for the number of
    the task's pairs, see `holm`). If one of two runs diverged, it loses and the difference is infinite.
    """
    rows = []
    for (panel,), group in _settings(labelled, ["panel"]):
        sign = 1 if group["score_goal"].iloc[0] == "max" else -1
        scores = group.assign(result=results_of(group)).pivot_table(
            index="seed", columns="line", values="result", aggfunc="median", sort=False
        )
        lines, of_panel = list(scores), []
        for i, line in enumerate(lines):
            for other in lines[i + 1 :]:
                both = scores[[line, other]].dropna()
                ours, theirs = both[line].to_numpy(), both[other].to_numpy()
                difference = np.where(ours == theirs, 0.0, ours - np.where(ours == theirs, 0.0, theirs))
                low, high = bootstrap_median(difference)
                of_panel.append(
                    {
                        "panel": panel,
                        "line": line,
                        "other": other,
                        "seeds": len(both),
                        "better": int(np.sum(sign * difference > 0)),
                        "equal": int(np.sum(difference == 0)),
                        "worse": int(np.sum(sign * difference < 0)),
                        "difference": quantile(difference, 0.5),
                        "low": low,
                        "high": high,
                        "p": signed_rank_p(difference),
                    }
                )
        corrected = holm(np.array([row["p"] for row in of_panel]))
        rows += [{**row, "p_holm": p} for row, p in zip(of_panel, corrected.tolist(), strict=True)]
    return pd.DataFrame(rows)


def signed_rank_p(differences: "np.ndarray[tuple[int], np.dtype[np.float64]]") -> float:
    """Returns the two-sided p-value of Wilcoxon's signed-rank test, or NaN without any difference.

    Infinite differences rank above all others, and zeros are left out. Up to 50 differences, the distribution is that
    of all signs, or of 2^16 random draws of them where ties leave no exact one; above 50, it is the normal one.
    """
    from scipy.stats import PermutationMethod, rankdata, wilcoxon

    some = differences[differences != 0]
    if len(some) == 0:
        return float("nan")
    ranks = rankdata(np.abs(some))
    has_ties = len(np.unique(ranks)) < len(ranks)
    draws = PermutationMethod(n_resamples=1 << 16, rng=np.random.default_rng(SEED))
    method = draws if has_ties and len(some) <= 50 else "auto"  # scipy's own choice for ties is too rough above 13
    return float(wilcoxon(np.sign(some) * ranks, method=method).pvalue)


def holm(
    p: "np.ndarray[tuple[int], np.dtype[np.float64]]",
) -> "np.ndarray[tuple[int], np.dtype[np.float64]]":
    """Returns p-values corrected for their number, so that the chance of any false finding stays below the level.

    For the i-th smallest of n, i = 1, 2, ... (Holm 1979):

        p'_i = min(1, max over j <= i of (n - j + 1) p_j)

    NaN stays NaN and does not count.
    """
    corrected = p.copy()
    order = np.argsort(p)[: np.isfinite(p).sum()]
    corrected[order] = np.minimum(1, np.maximum.accumulate(p[order] * np.arange(len(order), 0, -1)))
    return corrected


def tuned(runs: pd.DataFrame, axis: str, tuning_seeds: Collection[int], by: str = "model.name") -> pd.DataFrame:
    """Chooses each cell's best value of `axis` on the tuning seeds, and returns its runs on the other, fresh seeds.

    The best value is the one with the best median, never that of the best single run.

    Args:
        runs: from `rnnbench.load_runs`.
        axis: the column to tune, such as `optimizer.learning_rate`.
        tuning_seeds: the seeds on which values are chosen.
        by: the column whose values are tuned separately, on each task.

    Returns:
        The runs of the chosen values on fresh seeds.

    Raises:
        UserError: the budgets differ (values tried, seeds per value, or training steps), the runs of a cell also
            differ in another key, or no fresh seeds are left.
    """
    for name in (axis, by, "seed"):
        if name not in runs:
            raise UserError(f"expected a key of the runs' configuration to tune, got {name!r}")
    done = runs[runs["status"] != "running"]
    if not done["seed"].isin(list(tuning_seeds)).any():
        raise UserError(f"no run has one of the tuning seeds {sorted(tuning_seeds)}")
    settings = [name for name in map(str, done) if name.startswith("task.") and name != axis]
    chosen = []
    for _, of_task in done.groupby(settings, sort=False, dropna=False):
        task = of_task["task.name"].iloc[0]
        for_tuning = of_task["seed"].isin(list(tuning_seeds))
        cells = [(str(cell), group) for cell, group in of_task[for_tuning].groupby(by, sort=False)]
        budgets = {cell: _budget(group, axis) for cell, group in cells}
        if len(set(budgets.values())) > 1:
            told = "; ".join(f"{cell}: {_in_words(budget)}" for cell, budget in budgets.items())
            raise UserError(f"{axis} was not tuned with equal budgets on {task} ({told})")
        for cell, group in cells:
            others = [name for name in config_keys(group) if name not in (axis, by) and name not in settings]
            if pooled := [name for name in others if group[name].nunique(dropna=False) > 1]:
                raise UserError(
                    f"{cell} on {task}: expected runs that differ in {axis} and the seed only, but they also differ in "
                    f"{', '.join(pooled)}; compare the runs of one value at a time"
                )
            labelled = label_runs(group).assign(value=group[axis].to_numpy())
            medians = {value: quantile(results_of(own), 0.5) for value, own in labelled.groupby("value")}
            pick = max if labelled["score_goal"].iloc[0] == "max" else min
            best: Any = pick(medians, key=lambda value: medians[value])
            fresh = of_task[~for_tuning & of_task[by].eq(group[by].iloc[0]) & of_task[axis].eq(best)]
            if fresh.empty:
                raise UserError(f"{cell} on {task}: no run of the chosen {axis} {best} has a fresh seed")
            chosen.append(fresh)
    return pd.concat(chosen, ignore_index=True)


Budget = tuple[tuple[tuple[int, int], ...], ...]
"""What was spent on tuning: for each value tried, the seed and the training steps of each run."""


def _budget(runs: pd.DataFrame, axis: str) -> Budget:
    values = runs.groupby(axis, dropna=False)[["seed", "train.steps"]]
    return tuple(sorted(tuple(sorted(map(tuple, own.to_numpy(int).tolist()))) for _, own in values))


def _in_words(budget: Budget) -> str:
    kinds = Counter(budget).items()
    return ", ".join(
        f"{count} value{'s' * (count > 1)} with seeds {', '.join(str(seed) for seed, _ in runs)} "
        f"for {'/'.join(sorted({str(steps) for _, steps in runs}, key=int))} steps"
        for runs, count in kinds
    )


def _settings(labelled: pd.DataFrame, by: Sequence[str]) -> list[tuple[tuple[Any, ...], pd.DataFrame]]:
    done = labelled[labelled["status"] != "running"]
    return [(key if isinstance(key, tuple) else (key,), group) for key, group in done.groupby(list(by), sort=False)]
