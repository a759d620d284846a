"""Python composes the same configurations as the command line, with the same messages."""

from pathlib import Path

import hydra
import pytest
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig

import rnnbench
from rnnbench.commands import cli
from rnnbench.config.compose import shipped
from rnnbench.config.identity import run_id
from rnnbench.config.schema import Config
from rnnbench.errors import UserError
from rnnbench.training import runner

OUTSIDE = Path(__file__).parents[1] / "outside"


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[Config]:
    """Returns a list of the configurations that the command line would train."""
    configs: list[Config] = []
    monkeypatch.setattr(runner, "train", lambda *members: configs.extend(members))
    monkeypatch.chdir(tmp_path)
    return configs


@pytest.mark.parametrize(
    "overrides",
    [
        ["model=gru", "task=adding", "task.length=30", "optimizer.learning_rate=3e-3", "seed=7"],
        ["optimizer=sgd", "logger=wandb", "probe.at_end=[]", "train.clip_norm=null", "optimizer.momentum=0.9"],
        ["+experiment=quickstart", "hydra.mode=RUN", "task=adding", "model=rnn"],
    ],
)
def test_a_run_is_that_of_the_command_line(trained: list[Config], overrides: list[str]) -> None:
    assert cli.main(overrides) == 0
    assert trained == [rnnbench.compose(*(own for own in overrides if not own.startswith("hydra.")))]


@pytest.mark.parametrize(
    "overrides",
    [
        ["seed=range(3)", "model=rnn,lstm", "task=adding,copy", "optimizer.learning_rate=1e-3,1"],
        ["model=gru", "+model.cell.use_bias=true,false", "train.clip_norm=null,1", "seed=2"],
        ["+experiment=quickstart", "seed=0,5", "model=lstm"],
        ["+experiment=sweep_300", "seed=3", "optimizer.learning_rate=0.1,0.2"],
        ["seed=1"],
    ],
)
def test_a_sweep_is_that_of_the_command_line(trained: list[Config], overrides: list[str]) -> None:
    """The command line orders its runs by job, but both have the same runs in the same folders."""
    assert cli.main(["-m", *overrides]) == 0
    composed = rnnbench.compose_sweep(*overrides)
    assert len(composed) == len(trained)
    assert {(run_id(config), config.output) for config in composed} == {(run_id(c), c.output) for c in trained}


def test_a_sweep_comes_in_the_order_of_its_axes() -> None:
    configs = rnnbench.compose_sweep("seed=0,1", "model=rnn,gru", "seed=5,4", "task=adding")
    assert [(config.seed, config.model.name) for config in configs] == [(5, "rnn"), (5, "gru"), (4, "rnn"), (4, "gru")]


def test_the_axes_of_a_study_can_be_replaced() -> None:
    configs = rnnbench.compose_sweep("+experiment=quickstart", "seed=3", "task=sentence_completion")
    assert [config.model.name for config in configs] == ["rnn", "irnn", "lstm", "gru"]
    assert {config.seed for config in configs} == {3}
    assert {config.task["max_distance"] for config in configs} == {64}
    assert configs[3].model.cell["update_bias"] == 2.0, "which the study looks up by the model's name"


@pytest.mark.parametrize("compose", [rnnbench.compose, rnnbench.compose_sweep])
@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("model=lstn", "model: unknown option 'lstn'; expected one of antisymmetric, "),
        (
            "+experiment=quick",
            "experiment: unknown option 'quick'; expected one of cells, quickstart, sizes, sweep_300, tasks. Did",
        ),
        ("train.stepz=3", "train.stepz: unknown key; train has steps, batch_size, "),
        ("optimizer=null", "optimizer: expected the name of an option, got null"),
        ("seed", "cannot read 'seed': expected key=value, +key=value or ~key, such as seed=1"),
        ("=1", "cannot read '=1': expected key=value, +key=value or ~key, such as seed=1"),
        ("seed=-1", "seed: expected 0 or more, got -1"),
        ("train.steps=1.5", "train.steps: expected an integer, got 1.5"),
    ],
)
def test_a_mistake_is_told_as_on_the_command_line(compose: type, override: str, message: str) -> None:
    with pytest.raises(UserError) as error:
        compose(override)
    assert str(error.value).startswith(message)


def test_a_sweep_needs_values() -> None:
    with pytest.raises(UserError, match=r"seed=interval\(0,1\): expected values to try, such as seed=1,2 or"):
        rnnbench.compose_sweep("seed=interval(0,1)")
    with pytest.raises(UserError, match=r"seed=range\(0\): expected values to try, such as seed=1,2, got none"):
        rnnbench.compose_sweep("seed=range(0)")
    with pytest.raises(UserError, match=r"expected at most 10000 runs in a sweep, got 100000000 or more"):
        rnnbench.compose_sweep("seed=range(100000000)")
    with pytest.raises(UserError, match="seed=0,1: several values for one run"):
        rnnbench.compose("seed=0,1")
    with pytest.raises(UserError, match=r"train\.steps: expected an integer, got 1\.5"):
        rnnbench.compose_sweep("train.steps=1,1.5")


def test_a_folder_of_ones_own_adds_options(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(OUTSIDE))
    folder = OUTSIDE / "conf"
    assert rnnbench.compose("model=ugrnn", config_dir=folder).model.name == "ugrnn"
    names = [config.model.name for config in rnnbench.compose_sweep("model=ugrnn,gru", config_dir=str(folder))]
    assert names == ["ugrnn", "gru"]
    with pytest.raises(UserError, match="config_dir: there is no folder nowhere"):
        rnnbench.compose(config_dir="nowhere")


def test_an_option_that_would_not_be_used_is_refused(tmp_path: Path) -> None:
    (tmp_path / "task").mkdir()
    (tmp_path / "task" / "parity.yaml").write_text("name: parity\n_target_: rnnbench.tasks.Echo\n")
    message = (
        r"config_dir: expected names that rnnbench does not have itself, got .*/task/parity\.yaml, in place of which"
    )
    with pytest.raises(UserError, match=message):
        rnnbench.compose("task=parity", config_dir=tmp_path)
    (tmp_path / "task" / "parity.yaml").rename(tmp_path / "task" / "my_parity.yaml")
    assert rnnbench.compose("task=my_parity", config_dir=tmp_path).task["_target_"] == "rnnbench.tasks.Echo"


def test_a_hydra_that_runs_is_left_as_it_was() -> None:
    with hydra.initialize_config_dir(str(shipped("conf")), version_base="1.3"):
        own = hydra.compose("config", overrides=["model=gru"], return_hydra_config=True)
        HydraConfig.instance().set_config(own)
        assert [config.model.name for config in rnnbench.compose_sweep("model=rnn,lstm")] == ["rnn", "lstm"]
        with pytest.raises(UserError):
            rnnbench.compose("model=nothing")
        assert HydraConfig.get().runtime.choices.model == "gru"
        assert hydra.compose("config", overrides=["model=gru"]).model.name == "gru"
    HydraConfig.instance().cfg = None
    assert not GlobalHydra.instance().is_initialized()


def test_a_key_in_what_an_experiment_takes_from_elsewhere() -> None:
    with pytest.raises(
        UserError, match=r"task: .* so no key in it can be set; set .* such as experiment\.task\.NAME\.KEY"
    ):
        rnnbench.compose_sweep("+experiment=quickstart", "task.length=50")
