"""A job whose files are damaged or missing is trained again, for what is lost, and ends the same."""

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from orbax.checkpoint import v1 as ocp

import rnnbench
from rnnbench.config.schema import Config
from rnnbench.errors import UserError
from rnnbench.records.writer import Records
from rnnbench.training import runner
from rnnbench.training.checkpoints import Checkpoints
from tests.records.jobs import contents, flip

Compose = Callable[..., Config]
TABLES = ("runs.arrow", "metrics.parquet", "scores.parquet", "gradient_flow.parquet", "config.yaml")


@pytest.fixture
def config(compose: Compose, tmp_path: Path) -> Config:
    return compose(f"output={tmp_path / 'results'}", "train.checkpoint_seconds=0")


def trained(config: Config) -> tuple[Path, dict[str, bytes]]:
    """Trains a run, and returns its folder and its records."""
    runner.train(config)
    [folder] = Path(config.output).iterdir()
    return folder, records(folder)


def records(folder: Path) -> dict[str, bytes]:
    return {name: content for name, content in contents(folder).items() if not name.startswith("checkpoints/")}


def starts(folder: Path) -> list[int]:
    """Returns the steps from which the sessions of a job started."""
    return [session["from_step"] for session in json.loads((folder / "provenance.json").read_text())["sessions"]]


def test_a_finished_job_that_lost_a_file_is_trained_again(
    config: Config, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, before = trained(config)
    assert {*before} >= {*TABLES}
    lost: dict[str, tuple[Callable[[Path], None], list[int]]] = {
        "runs.arrow": (Path.unlink, [0, 0]),
        "metrics.parquet": (Path.unlink, [0, 0, 0]),
        "gradient_flow.parquet": (lambda path: flip(path, 999), [0, 0, 0, 0]),
        "config.yaml": (lambda path: flip(path, 99), [0, 0, 0, 0]),  # no training is needed
        "provenance.json": (Path.unlink, []),
    }
    for name, (spoil, expected) in lost.items():
        spoil(folder / name)
        runner.train(config)
        assert records(folder) == before, f"{name} was lost"
        assert starts(folder) == expected
        assert name in capsys.readouterr().err
    runner.train(config)
    assert "finished before" in capsys.readouterr().err


@pytest.mark.parametrize("checkpoint", [4, None])
def test_what_a_stopped_job_lost_is_trained_again_from_the_checkpoint_before(
    config: Config, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], checkpoint: int | None
) -> None:
    folder, before = trained(config)
    shutil.rmtree(folder)
    part = folder / "metrics/00000005-00000008.parquet"
    for spoil in (part.unlink, lambda: flip(part, 99), lambda: None):
        with monkeypatch.context() as patch:
            patch.setattr(Records, "finish", lambda *_: pytest.exit("stopped"))
            with pytest.raises(pytest.exit.Exception):
                runner.train(config)
        if checkpoint is None:
            shutil.rmtree(folder / "checkpoints/4", ignore_errors=True)
        spoil()
    runner.train(config)
    assert records(folder) == before
    assert starts(folder) == [0, checkpoint or 0, checkpoint or 0, 8]
    assert f"00000008.parquet damaged or missing: training again from step {checkpoint or 0}" in capsys.readouterr().err


def test_a_job_trained_again_forgets_the_checkpoints_it_had(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is stopped at step 4: if it resumed from the earlier session's checkpoint at step 8, it would skip records."""
    folder, before = trained(config)
    (folder / "metrics.parquet").unlink()
    save = Checkpoints.save

    def stop(self: Checkpoints, step: int, *arguments: object, **options: object) -> None:
        save(self, step, *arguments, **options)  # type: ignore[arg-type]
        pytest.exit("stopped")

    with monkeypatch.context() as patch:
        patch.setattr(Checkpoints, "save", stop)
        with pytest.raises(pytest.exit.Exception):
            runner.train(config)
    runner.train(config)
    assert starts(folder) == [0, 0, 4]
    assert records(folder) == before


def test_a_damaged_checkpoint_is_never_restored(
    config: Config, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, _ = trained(config)
    files = [path.relative_to(folder) for path in (folder / "checkpoints/8").rglob("*") if path.is_file()]
    for number, path in enumerate(files):
        copy = tmp_path / f"copy{number}"
        shutil.copytree(folder / "checkpoints", copy / "checkpoints")
        size = (copy / path).stat().st_size
        if size and number % 2:
            flip(copy / path, 8 * (size // 2))
        else:
            (copy / path).unlink()
        Checkpoints(copy / "checkpoints", 0.0).close()
        assert [kept.name for kept in (copy / "checkpoints").glob("[0-9]*")] == ["4"], f"{path} was spoilt"
        assert f"{copy}/checkpoints/8 is damaged, or was not written to its end" in capsys.readouterr().err
    flip(folder / files[0], 3)
    rnnbench.load_model(folder)
    assert f"{folder}/checkpoints/8 is damaged" in capsys.readouterr().err


def test_a_finished_job_with_a_damaged_checkpoint_is_trained_again_from_the_one_before(
    config: Config, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, before = trained(config)
    flip(next(path for path in sorted((folder / "checkpoints/8").rglob("*")) if path.is_file()), 3)
    runner.train(config)
    assert f"{folder}/checkpoints/8 is damaged or missing" in capsys.readouterr().err
    assert starts(folder) == [0, 4]
    assert records(folder) == before
    assert {path.name for path in (folder / "checkpoints").glob("[0-9]*")} == {"4", "8"}
    shutil.rmtree(folder / "checkpoints")  # to save space, say
    runner.train(config)
    assert starts(folder) == [0, 4]


@pytest.mark.parametrize("name", ["[x]", "back\\slash"])
def test_a_path_below_which_no_checkpoint_can_be_read_is_refused(compose: Compose, tmp_path: Path, name: str) -> None:
    config = dataclasses.replace(compose(), output=str(tmp_path / name))
    with pytest.raises(UserError, match=r"output: expected a path without \[ and backslashes, got '(\[|.{2})' in"):
        runner.train(config)
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_fills_while_a_checkpoint_is_written_is_named(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As tensorstore says it, which writes the arrays."""

    def full(*_: object, **options: object) -> None:
        raise ValueError("RESOURCE_EXHAUSTED: Failed to write 9 bytes: No space left on device [os_error_code='28']")

    with monkeypatch.context() as patch:
        patch.setattr(ocp.training.Checkpointer, "save", full)
        with pytest.raises(UserError, match=r"cannot write a checkpoint to .*: No space left on device; earlier ones"):
            runner.train(config)
    runner.train(config)
    assert rnnbench.load_runs(config.output)["status"].tolist() == ["finished"]
