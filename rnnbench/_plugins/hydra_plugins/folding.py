"""Connects `rnnbench.sweeps.plan` to Hydra, which looks for sweepers only in this namespace package.

This module is imported at every start, so it imports little.
"""

import dataclasses
from collections.abc import Iterable
from pathlib import Path

from hydra.core.config_store import ConfigStore
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.plugins import Plugins
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, open_dict, read_write

from rnnbench.errors import DivergedError, FailedJobsError


@dataclasses.dataclass
class FoldingSweeperConf:
    """The node `hydra.sweeper`. Its `params` are the axes of a study, which the command line can override."""

    _target_: str = "hydra_plugins.folding.FoldingSweeper"
    params: dict[str, str] | None = None


ConfigStore.instance().store(group="hydra/sweeper", name="folding", node=FoldingSweeperConf, provider="rnnbench")


class FoldingSweeper(Sweeper):
    """Sweeps every combination. Those that differ only in foldable numbers form one job."""

    context: HydraContext
    config: DictConfig
    launcher: Launcher

    def __init__(self, params: dict[str, str] | None = None) -> None:
        self.params = params or {}

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Hydra calls this before `sweep`."""
        self.context, self.config = hydra_context, config
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> None:
        """Plans the jobs, and launches them."""
        from rnnbench.sweeps import launch, plan

        launch.refuse_several_processes(self.config.distributed.coordinator)
        loader = self.context.config_loader
        given = [*(f"{key}={value}" for key, value in self.params.items()), *arguments]
        overrides = OverridesParser.create(config_loader=loader).parse_overrides(given)

        def compose(job: list[str]) -> DictConfig:
            cfg = loader.load_sweep_config(self.config, job)
            HydraConfig.instance().set_config(cfg)  # what interpolations of ${hydra:...} look at
            with read_write(cfg), open_dict(cfg):
                del cfg["hydra"]
            return cfg

        planned = plan.plan(overrides, compose)
        HydraConfig.instance().set_config(self.config)
        try:
            launch.announce(planned)
            if planned.jobs:
                Path(self.config.hydra.sweep.dir).mkdir(parents=True, exist_ok=True)
                launch.run(planned.jobs, lambda jobs: self.launcher.launch(jobs, initial_job_idx=0))
        except (DivergedError, FailedJobsError):
            self._report(planned.runs)
            raise
        self._report(planned.runs)

    def _report(self, outputs: Iterable[str]) -> None:
        if self.config.report:
            from rnnbench.commands.report import report_sweep

            for output in outputs:
                report_sweep(Path(output))
