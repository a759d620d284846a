"""Training from Python: configurations in, tables out. `rnnbench.train` is this module's."""

from collections.abc import Iterable

import pandas as pd

from rnnbench.analysis.tables import load_runs
from rnnbench.config.identity import run_id
from rnnbench.config.schema import Config
from rnnbench.errors import DivergedError
from rnnbench.sweeps.populations import populations


def train(configs: Config | Iterable[Config]) -> pd.DataFrame:
    """Trains runs, those that differ in foldable numbers alone as one program, and returns what they recorded.

        runs = rnnbench.train(rnnbench.compose("model=gru", "seed=1"))
        runs = rnnbench.train(rnnbench.compose_sweep("model=rnn,lstm,gru", "seed=range(5)"))

    A run that is complete is not trained again, and one that was interrupted (Ctrl-C, a kernel's restart, a kill)
    resumes where it stopped: call this again with the same configurations.

    Args:
        configs: of `rnnbench.compose` or `rnnbench.compose_sweep`.

    Returns:
        The runs' rows as `rnnbench.load_runs` gives them, in the order of the configurations. A run whose loss became
        NaN or infinite has the status "diverged".

    Raises:
        UserError: a configuration or the output folder does not serve.
        ValueError: there are no configurations.
    """
    asked = [configs] if isinstance(configs, Config) else list(configs)
    if not asked:
        raise ValueError("configs: expected one configuration or more, got none")
    from rnnbench.training import runner  # JAX is imported here

    for population in populations(asked):
        try:
            runner.train(*population)
        except DivergedError:
            continue  # the run's status says so
    outputs = dict.fromkeys(config.output for config in asked)
    runs = pd.concat([load_runs(output) for output in outputs], ignore_index=True)
    order = {run_id(config): number for number, config in enumerate(asked)}
    own = runs[runs["run_id"].isin(order)].dropna(axis="columns", how="all")
    return own.sort_values("run_id", key=lambda ids: ids.map(order), ignore_index=True)
