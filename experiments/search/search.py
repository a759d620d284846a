"""Hyperparameter search without a grid: Optuna proposes trials, and each round of trials trains as one program.

    python experiments/search/search.py --output results/search model=lstm task=adding task.length=50

The study is stored in SQLite next to the records. After a kill, the same command resumes with the trials of the round
that was not finished. The search covers only foldable numbers, so that each round is one population.
"""

import argparse
import warnings
from pathlib import Path

import optuna
from optuna.distributions import BaseDistribution, FloatDistribution
from optuna.trial import Trial, TrialState
from rich.console import Console
from rich.table import Table

import rnnbench
from rnnbench.config.schema import Config

SPACE: dict[str, BaseDistribution] = {
    "optimizer.learning_rate": FloatDistribution(1e-4, 1e-1, log=True),
    "train.clip_norm": FloatDistribution(0.1, 10.0, log=True),
    "optimizer.b1": FloatDistribution(0.5, 0.99),
}
console = Console(highlight=False)


def members(trial: Trial, overrides: list[str], seeds: int) -> list[Config]:
    """Returns the configurations of a trial's runs, one for each seed."""
    values = [f"{key}={trial.suggest_float(key, d.low, d.high, log=d.log)!r}" for key, d in SPACE.items()]
    return rnnbench.compose_sweep(*overrides, *values, f"seed=range({seeds})")


def evaluate(configs: dict[int, list[Config]]) -> tuple[dict[int, float | None], str]:
    """Trains runs, and returns each trial's median final score over its seeds, and the score's goal.

    The median is None if a seed diverged.
    """
    trials = [number for number, own in configs.items() for _ in own]
    runs = rnnbench.train(config for own in configs.values() for config in own)
    scores: dict[int, float | None] = {}
    for number, own in runs.groupby(trials):
        final = own[f"final.{own['score'].iloc[0]}"]
        scores[number] = float(final.median()) if (own["status"] == "finished").all() else None
    return scores, runs["score_goal"].iloc[0]


def search(output: Path, overrides: list[str], rounds: int, size: int, seeds: int) -> optuna.Study:
    """Runs or resumes the search until `rounds` rounds of `size` trials are finished."""
    output.mkdir(parents=True, exist_ok=True)
    overrides = [*overrides, f"output={output}"]
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
    study = optuna.create_study(study_name="rnnbench", storage=f"sqlite:///{output / 'study.db'}", load_if_exists=True)
    # Without `constant_liar`, each trial of a round would be proposed as if no other trial were running. The seed
    # changes with the number of trials; otherwise a resumed search would propose its first trials again.
    study.sampler = optuna.samplers.TPESampler(seed=len(study.trials), constant_liar=True, n_startup_trials=2 * size)
    while True:
        left = [Trial(study, t._trial_id) for t in study.get_trials(states=[TrialState.RUNNING])]
        told = len(study.get_trials(states=[TrialState.COMPLETE, TrialState.FAIL]))
        if not left and told >= rounds * size:
            return study
        trials = left + [study.ask() for _ in range(size - len(left))]
        scores, goal = evaluate({t.number: members(t, overrides, seeds) for t in trials})
        for trial in trials:
            score = scores[trial.number]
            if score is None:
                study.tell(trial, state=TrialState.FAIL)
            else:
                study.tell(trial, score if goal == "min" else -score)
        console.print(f"round {told // size + 1} of {rounds}: best so far {abs(study.best_value):.4g}")


def main() -> None:
    """Runs the search and prints the trials, best first."""
    parser = argparse.ArgumentParser(
        description="Searches learning rate, clip norm and Adam's b1 by Optuna, a population a round."
    )
    parser.add_argument("--output", type=Path, default=Path("results/search"))
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--size", type=int, default=8, help="trials a round")
    parser.add_argument("--seeds", type=int, default=3, help="runs a trial; its score is their median")
    parser.add_argument("overrides", nargs="*", help="key=value, as rnnbench takes them")
    options = parser.parse_intermixed_args()
    study = search(options.output, options.overrides, options.rounds, options.size, options.seeds)
    table = Table("trial", "score", *SPACE)
    told = study.get_trials(states=[TrialState.COMPLETE])
    for trial in sorted(told, key=lambda trial: trial.value):
        table.add_row(str(trial.number), f"{abs(trial.value):.4g}", *(f"{trial.params[key]:.3g}" for key in SPACE))
    console.print(table)
    failed = len(study.get_trials(states=[TrialState.FAIL]))
    console.print(
        f"{failed} trials diverged. The best of many is partly luck: train it on fresh seeds (seed={options.seeds}...)"
    )


if __name__ == "__main__":
    main()
