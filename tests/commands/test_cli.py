"""The command line: what it runs, what it prints and how it fails, with a stand-in for training."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from hydra.errors import ConfigCompositionException

import rnnbench
import rnnbench.training
from rnnbench.commands import cli
from rnnbench.config.schema import Config
from rnnbench.errors import DivergedError, UserError
from rnnbench.training.stopping import Stopped

ROOT = Path(__file__).parents[2]


class Training:
    """Replaces `rnnbench.training.runner`: stores the configurations to train, and fails when a test asks for it."""

    def __init__(self) -> None:
        self.populations: list[tuple[Config, ...]] = []
        self.fail: Callable[[Config], None] = lambda config: None

    @property
    def configs(self) -> list[Config]:
        """Returns all runs in one list."""
        return [config for population in self.populations for config in population]

    @property
    def places(self) -> list[str | None]:
        """Returns each population's place: which job of how many it was."""
        return [population[0].population.place for population in self.populations]

    def train(self, *configs: Config) -> None:
        self.populations.append(configs)
        for config in configs:
            self.fail(config)


@pytest.fixture
def training(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Training:
    stand_in = Training()
    monkeypatch.setattr(rnnbench.training, "runner", stand_in, raising=False)
    monkeypatch.setitem(sys.modules, "rnnbench.training.runner", stand_in)
    monkeypatch.chdir(tmp_path)
    return stand_in


def in_process_of_its_own(*argv: str, cwd: Path = ROOT, **env: str | None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *argv]
    environment = {
        name: value for name, value in {**os.environ, "PYTHONPATH": str(ROOT), **env}.items() if value is not None
    }
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=60, check=False)


def test_one_run(training: Training, tmp_path: Path) -> None:
    argv = ["model=gru", "task=adding", "task.length=50", "optimizer.learning_rate=3e-3", "seed=1"]
    assert cli.main(argv) == 0
    [config] = training.configs
    assert (config.model.name, config.task["length"], config.seed) == ("gru", 50, 1)
    assert config.optimizer["learning_rate"] == 3e-3
    assert training.places == [None]
    assert list(tmp_path.iterdir()) == [], "files beside the records"


def test_a_sweep_trains_every_combination_in_order(training: Training, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["-m", "model=rnn,lstm,gru", "seed=0,1,2"]) == 0
    expected = [(model, seed) for model in ("rnn", "lstm", "gru") for seed in range(3)]
    assert [(config.model.name, config.seed) for config in training.configs] == expected
    assert [len(population) for population in training.populations] == [3, 3, 3]
    assert training.places == ["1/3", "2/3", "3/3"]
    assert "a sweep of 9 runs; 9 to train in 3 jobs" in capsys.readouterr().err


def test_a_study_is_one_command(training: Training, tmp_path: Path) -> None:
    assert cli.main(["+experiment=quickstart", f"output={tmp_path}/here"]) == 0
    runs = {(config.task["name"], config.model.name, config.seed) for config in training.configs}
    assert len(runs) == len(training.configs) == 24
    assert {config.output for config in training.configs} == {f"{tmp_path}/here"}


def test_a_study_can_be_narrowed_and_changed(training: Training, tmp_path: Path) -> None:
    argv = ["+experiment=quickstart", f"output={tmp_path}", "seed=0", "model=gru", "task=adding", "train.steps=7"]
    assert cli.main(argv) == 0
    [config] = training.configs
    assert (config.seed, config.model.name, config.task["name"], config.train.steps) == (0, "gru", "adding", 7)


def test_one_failing_job_does_not_stop_the_others(training: Training, capsys: pytest.CaptureFixture[str]) -> None:
    def fail(config: Config) -> None:
        if config.seed == 1:
            raise DivergedError(f"{config.model.name} diverged at step 7")

    training.fail = fail
    assert cli.main(["-m", "model=rnn,gru", "seed=0,1,2", "task.length=20", "population.max_size=1"]) == 3
    assert len(training.configs) == 6
    said = capsys.readouterr().err
    assert "rnnbench: failed: model=rnn seed=1 task.length=20\n" in said, "at once, and why in the summary"
    assert said.count("rnn diverged at step 7") == 1
    summary = said.partition("rnnbench: error: ")[2].splitlines()
    assert summary == [
        "2 of 6 jobs failed:",
        "  model=rnn seed=1 task.length=20: rnn diverged at step 7",
        "  model=gru seed=1 task.length=20: gru diverged at step 7",
    ]


@pytest.mark.parametrize(
    ("errors", "code"),
    [
        ([UserError("bad"), UserError("bad")], 2),
        ([UserError("bad"), DivergedError("nan")], 3),
        ([DivergedError("nan"), KeyError("bug")], 1),
    ],
)
def test_the_exit_code_of_a_sweep_is_that_of_its_worst_job(
    training: Training, errors: list[Exception], code: int
) -> None:
    def fail(config: Config) -> None:
        raise errors[config.seed]

    training.fail = fail
    assert cli.main(["-m", "seed=0,1", "population.max_size=1"]) == code


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (UserError("seed: no"), 2, "rnnbench: error: seed: no\n"),
        (DivergedError("diverged at step 7"), 3, "rnnbench: error: diverged at step 7\n"),
        (PermissionError(13, "Permission denied", "/results"), 2, "rnnbench: error: /results: Permission denied\n"),
        (KeyError("x"), 1, "rnnbench: error: KeyError: 'x'\n  This looks like a bug"),
    ],
)
def test_an_error_is_one_message(
    training: Training, capsys: pytest.CaptureFixture[str], error: Exception, code: int, message: str
) -> None:
    def fail(config: Config) -> None:
        raise error

    training.fail = fail
    assert cli.main([]) == code
    assert capsys.readouterr().err.startswith(message)


def test_the_traceback_is_there_for_the_asking(
    training: Training, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(config: Config) -> None:
        raise KeyError("x")

    training.fail = fail
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    for argv in ([], ["-m", "seed=0,1"]):
        assert cli.main(argv) == 1
        printed = capsys.readouterr().err
        assert "Traceback (most recent call last)" in printed
        assert "in fail" in printed
    assert os.environ["HYDRA_FULL_ERROR"] == "1"


def interrupted(config: Config) -> None:
    raise KeyboardInterrupt


def interrupted_within_a_library(config: Config) -> None:
    try:
        raise KeyboardInterrupt
    finally:
        raise AttributeError("half built")  # as OmegaConf does


@pytest.mark.parametrize("fail", [interrupted, interrupted_within_a_library])
def test_interrupted(training: Training, capsys: pytest.CaptureFixture[str], fail: Callable[[Config], None]) -> None:
    training.fail = fail
    assert cli.main(["-m", "seed=0,1", "population.max_size=1"]) == 130
    assert len(training.configs) == 1
    assert "the same command resumes" in capsys.readouterr().err


def test_a_signal_that_becomes_another_error_still_stops_the_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Hydra may be composing when the signal comes, and wraps what OmegaConf makes of it."""

    def compose(*_: object) -> None:
        try:
            try:
                raise Stopped("", signal.SIGTERM)
            finally:
                raise AttributeError("half built")
        except AttributeError as error:
            raise ConfigCompositionException from error

    monkeypatch.setattr(cli.train, "main", compose)
    assert cli.main(["seed=1"]) == 143
    assert capsys.readouterr().err == "\nrnnbench: stopped; the same command resumes from what is saved\n"


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["optimizer.lr=2"], "optimizer.lr: unknown key; optimizer has learning_rate, b1, b2, eps"),
        (["optimizer.lr=2"], "Did you mean learning_rate?"),
        (["optimiser.learning_rate=2"], "optimiser: unknown key; a run has model, init, task, optimizer, "),
        (["optimiser.learning_rate=2"], "Did you mean optimizer?"),
        (["train.stepz=2"], "train.stepz: unknown key; train has steps, batch_size, "),
        (["+train.stepz=2"], "train.stepz: unknown key; train has steps, batch_size, "),
        (["modle=gru"], "modle: unknown key; "),
        (["modle=gru"], "Did you mean model?"),
        (["model=gruu"], "model: unknown option 'gruu'; expected one of antisymmetric, clockwork, "),
        (["model=gruu"], ", rnn, s4d, scrn, slstm, sru. Did you mean gru"),
        (
            ["-m", "model=gru,gruu"],
            ", rnn, s4d, scrn, slstm, sru. Did you mean gru",
        ),
        (["model=gru,lstm"], "model=gru,lstm: several values for one run; add -m to train a run for each of them"),
        (["+experiment=quick"], "experiment: unknown option 'quick'; expected one of "),
        (["+experiment=quick"], ", quickstart, sizes, sweep_300, tasks. Did you mean quickstart?"),
        (["seed=abc"], "seed: expected an integer, got 'abc'"),
        (["model=gru", "seed"], "cannot read 'seed': expected key=value"),
        (["=1"], "cannot read '=1': expected key=value, +key=value or ~key, such as seed=1"),
        (["+=1"], "cannot read '+=1': expected key=value"),
        (["++=1"], "cannot read '++=1': expected key=value"),
        (["~=1"], "cannot read '~=1': expected key=value"),
        (["~"], "cannot read '~': expected key=value"),
        (["@seed=1"], "cannot read '@seed=1': expected key=value"),
        (["-m", "hydra.launcher=nope"], "expected keys and values; launcher=NAME selects a launcher"),
        (["seed=["], "cannot read 'seed=[': expected key=value"),
        (["~sead"], "sead"),
        (["optimizer=[1]"], "optimizer: expected the name of an option, got [1]"),
        (["logger=null"], "logger: expected the name of an option, got null; logger=none switches it off"),
        (["--nope"], "unrecognized arguments: --nope; `rnnbench --help` explains the command line"),
        (["-m", "--cfg", "job"], "-m trains, so it cannot go with --cfg or --info"),
        (["--config-dir", "nowhere"], "--config-dir: there is no folder nowhere"),
        (["--config-name", "nothing"], "cannot find the configuration 'nothing' (--config-name)"),
        (["hydra.searchpath=[file:///nowhere]"], "hydra.searchpath: /nowhere: the folder is not available"),
        (
            ["shwo", "results"],
            "unknown command 'shwo'; the commands are cells, tasks, status, show, compare, report, probe, and",
        ),
        (["shwo", "results"], "Did you mean show?"),
    ],
)
def test_bad_input_is_told_in_one_line(
    training: Training, capsys: pytest.CaptureFixture[str], argv: list[str], message: str
) -> None:
    assert cli.main(argv) == 2
    printed = capsys.readouterr()
    assert printed.err.startswith("rnnbench: error: ")
    assert message in printed.err
    assert printed.err.count("\n") == 1
    assert printed.out == ""
    assert training.configs == []


def test_another_sweeper_is_refused(training: Training, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["-m", "hydra/sweeper=basic", "seed=0,1"]) == 2
    assert "hydra/sweeper: expected folding, which plans the runs of a sweep, got hydra." in capsys.readouterr().err
    assert training.configs == []


def test_a_file_that_is_no_yaml_is_named(
    training: Training, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "conf/model").mkdir(parents=True)
    (tmp_path / "conf/model/mine.yaml").write_text("name: [mine\n")
    assert cli.main(["--config-dir", "conf", "model=mine"]) == 2
    assert "not valid YAML" in (message := capsys.readouterr().err)
    assert "conf/model/mine.yaml" in message


def test_an_interpolation_that_does_not_end_is_named(
    training: Training, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """OmegaConf's error is its own cause, so that whoever looks through its causes must not go round for ever."""
    (tmp_path / "conf/optimizer").mkdir(parents=True)
    (tmp_path / "conf/optimizer/mine.yaml").write_text("name: ${")
    assert cli.main(["--config-dir", "conf", "optimizer=mine"]) == 2
    assert "name: cannot read an interpolation: " in (message := capsys.readouterr().err)
    assert message.endswith("; expected ${KEY}, or \\${ for ${ as text\n")


def test_an_output_folder_that_cannot_be_made(
    training: Training, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    assert cli.main(["-m", "seed=0,1", "output=file/results"]) == 2
    assert "rnnbench: error: cannot write file/results/sweep-" in capsys.readouterr().err
    assert cli.main(["-m", "seed=0,1", "output=file"]) == 2
    assert "rnnbench: error: file: expected a folder, got a file" in capsys.readouterr().err


def test_cfg_shows_what_a_command_resolves_to(capsys: pytest.CaptureFixture[str]) -> None:
    argv = ["--cfg", "job", "--resolve", "+experiment=quickstart", "task=adding", "model=gru", "optimizer=adamw"]
    assert cli.main(argv) == 0
    printed = capsys.readouterr().out
    assert "_target_: optax.adamw" in printed
    assert "output: results/quickstart" in printed
    assert "steps: ${" not in printed


def test_flags_may_stand_anywhere(capsys: pytest.CaptureFixture[str]) -> None:
    for argv in (["--cfg", "job", "seed=7", "model=gru"], ["seed=7", "--cfg", "job", "model=gru"]):
        assert cli.main(argv) == 0
        printed = capsys.readouterr().out
        assert "seed: 7" in printed
        assert "name: gru" in printed


def test_info_names_the_sources_of_the_configuration() -> None:
    done = in_process_of_its_own("-m", "rnnbench", "--info")
    assert (done.returncode, done.stderr) == (0, "")
    assert f"file://{ROOT}/conf" in done.stdout


def test_show_is_handed_its_arguments(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[list[str]] = []
    show = SimpleNamespace(main=lambda arguments: seen.append(arguments) or 0)
    monkeypatch.setattr(rnnbench, "show", show, raising=False)
    monkeypatch.setitem(sys.modules, "rnnbench.commands.show", show)
    assert cli.main(["show", "results", "--figures", "elsewhere"]) == 0
    assert seen == [["results", "--figures", "elsewhere"]]


def test_starting_imports_nothing_heavy() -> None:
    code = "import sys; from rnnbench.commands import cli; cli.main(['--help']); print(*sys.modules, file=sys.stderr)"
    modules = in_process_of_its_own("-c", code).stderr.split()
    assert "rnnbench.commands.cli" in modules
    assert not {"jax", "flax", "optax", "orbax", "numpy", "pandas", "pyarrow", "matplotlib", "wandb"} & set(modules)


@pytest.mark.parametrize(
    "entry",
    [
        ["-m", "rnnbench"],
        ["-c", "import sys; sys.path[0:1] = []; from rnnbench.__main__ import main; sys.exit(main())"],
    ],
    ids=["python -m", "console script"],
)
def test_a_target_in_the_current_folder_is_found(tmp_path: Path, entry: list[str]) -> None:
    """Both entry points import the broken file, as the error of that file shows."""
    (tmp_path / "mycell.py").write_text("import a_package_that_is_not_there\n")
    done = in_process_of_its_own(*entry, "model.cell._target_=mycell.MyCell", cwd=tmp_path)
    message = "mycell needs the package a_package_that_is_not_there, which is not installed"
    assert (done.returncode, done.stderr) == (2, f"rnnbench: error: model.cell._target_: {message}\n")


def test_ctrl_c_while_modules_are_imported_shows_no_traceback() -> None:
    code = (
        "import sys, signal; from rnnbench import __main__; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "class Finder:\n"
        "    def find_spec(self, name, *_):\n"
        "        if name == 'hydra': signal.raise_signal(signal.SIGINT)\n"
        "sys.meta_path.insert(0, Finder())\n"
        "sys.exit(__main__.main())"
    )
    done = in_process_of_its_own("-c", code)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


def test_compiled_programs_are_kept_for_the_next_time(tiny: list[str], tmp_path: Path) -> None:
    kept = tmp_path / "cache" / "rnnbench" / "programs"
    env = {"JAX_COMPILATION_CACHE_DIR": None, "XDG_CACHE_HOME": str(tmp_path / "cache")}

    def files(*argv: str) -> set[str]:
        done = in_process_of_its_own(
            "-m", "rnnbench", *tiny, "overwrite=true", f"output={tmp_path / 'out'}", *argv, **env
        )
        assert done.returncode == 0, done.stderr
        # Only training, evaluation and gradient flow. Smaller programs are cached only if they compiled slowly.
        return {path.name for path in kept.glob("jit_on_device-*-cache")}

    assert not files("compilation_cache=false")
    first = files()
    assert len(first) == 3
    assert files() == first, "nothing was compiled anew"


def test_a_cache_folder_that_cannot_be_made_is_no_error(tiny: list[str], tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file")
    env = {"JAX_COMPILATION_CACHE_DIR": None, "XDG_CACHE_HOME": str(tmp_path / "cache")}
    done = in_process_of_its_own("-m", "rnnbench", *tiny, f"output={tmp_path / 'out'}", **env)
    assert done.returncode == 0, done.stderr


def test_a_closed_pipe_is_no_error() -> None:
    command = f"{sys.executable} -m rnnbench --help | head -1"
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, shell=True, cwd=ROOT, env=environment, capture_output=True, timeout=60, check=True)
    assert done.stderr == b""
