"""A built wheel contains its configuration, and works from any folder and with a user's own configuration."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True, timeout=120)
    [path] = folder.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def site(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


def rnnbench(site: Path, cwd: Path, *argv: str) -> str:
    """Returns what the wheel's command prints. An installed checkout, if any, comes later on the path."""
    environment = os.environ | {"PYTHONPATH": str(site)}
    command = [sys.executable, "-m", "rnnbench", *argv]
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_wheel_holds_the_package_and_its_configuration_alone(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    yaml = {str(path.relative_to(ROOT)) for path in [*ROOT.glob("conf/**/*.yaml"), *ROOT.glob("experiments/*/*.yaml")]}
    assert {f"rnnbench/{name}" for name in yaml} <= set(names)
    assert "rnnbench/commands/cli.py" in names
    assert {name.split("/")[0].split("-")[0] for name in names} == {"rnnbench", "hydra_plugins"}


def test_its_configuration_is_its_own(site: Path, tmp_path: Path) -> None:
    assert f"file://{site}/rnnbench/conf" in rnnbench(site, tmp_path, "--info", "searchpath")
    assert "_target_: rnnbench.cells.GRU" in rnnbench(site, tmp_path, "--cfg", "job", "model=gru")
    assert "output: results/quickstart" in rnnbench(site, tmp_path, "--cfg", "job", "+experiment=quickstart")


def test_a_user_adds_a_configuration(site: Path, tmp_path: Path) -> None:
    (tmp_path / "mine/model").mkdir(parents=True)
    (tmp_path / "mine/model/mine.yaml").write_text("name: mine\ncell:\n  _target_: mycell.MyCell\n")
    (tmp_path / "mine/experiment").mkdir()
    (tmp_path / "mine/experiment/study.yaml").write_text("# @package _global_\nseed: 7\n")
    for added in (["--config-dir", "mine"], ["hydra.searchpath=[file://mine]"]):
        printed = rnnbench(site, tmp_path, *added, "--cfg", "job", "model=mine", "+experiment=study")
        assert "_target_: mycell.MyCell" in printed
        assert "hidden_size: 64" in printed
        assert "seed: 7" in printed


def test_it_writes_a_report(site: Path, tmp_path: Path) -> None:
    results = ROOT / "experiments" / "sweep_300" / "results"
    rnnbench(site, tmp_path, "report", str(results), "--output", str(tmp_path / "page.html"))
    assert "Plotly" in (tmp_path / "page.html").read_text()
