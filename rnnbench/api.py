"""Training from Python: configurations in, tables out. This module defines `rnnbench.train`."""

from collections.abc import Iterable, Sequence

import pandas as pd

from rnnbench.analysis.tables import load_runs_as_of
from rnnbench.config.identity import run_id
from rnnbench.config.schema import Config
from rnnbench.errors import DivergedError
from rnnbench.sweeps.populations import populations


def train(configs: Config | Iterable[Config]) -> pd.DataFrame:
    """Trains runs and returns their rows. Runs that differ only in foldable numbers train together, as one program.

        runs = rnnbench.train(rnnbench.compose("model=gru", "seed=1"))
        runs = rnnbench.train(rnnbench.compose_sweep("model=rnn,lstm,gru", "seed=range(5)"))

    Complete runs are not trained again. A run that was interrupted (by Ctrl-C, a kernel restart or a kill) resumes
    where it stopped when you call this again with the same configurations, and with more `train.steps`, a run is
    trained further.

    Args:
        configs: what `rnnbench.compose` or `rnnbench.compose_sweep` returned.

    Returns:
        The runs' rows as `rnnbench.load_runs` returns them, in the order of the configurations. A run that was trained
        for more steps before has the row that it had at the step asked for. A run whose loss became NaN or infinite has
        the status "diverged".

    Raises:
        UserError: a configuration or the output folder cannot be used.
        ValueError: there are no configurations.
    """
    asked = [configs] if isinstance(configs, Config) else list(configs)
    if not asked:
        raise ValueError("configs: expected one configuration or more, got none")
    from rnnbench.training import runner  # imports JAX

    for population in populations(asked):
        try:
            runner.train(*population)
        except DivergedError:
            continue  # the run's status says so
    return _recorded(asked)


def _recorded(configs: Sequence[Config]) -> pd.DataFrame:
    """Returns the runs' rows in the order of the configurations."""
    places = {(config.output, run_id(config)): number for number, config in enumerate(configs)}
    found = []
    for output in dict.fromkeys(config.output for config in configs):
        steps = {run: configs[number].train.steps for (own, run), number in places.items() if own == output}
        runs = load_runs_as_of(output, steps)
        runs.index = pd.Index([places[output, run] for run in runs["run_id"]])
        found.append(runs)
    return pd.concat(found).sort_index().reset_index(drop=True)
