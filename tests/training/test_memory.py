"""What does not fit into memory is refused before anything is trained, and says how much it needs."""

import re
from collections.abc import Callable
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

from rnnbench.config.messages import describe
from rnnbench.errors import UserError
from rnnbench.training import memory
from tests.helpers import run_command


@pytest.mark.parametrize(
    ("override", "what"),
    [
        ("model.hidden_size=2000000", "the state of the training needs"),
        ("train.batch_size=100000000", "the training step needs"),
        ("task.length=2000000000", "a test set of 16 examples needs"),
        ("train.test_size=2000000000", "a test set of 2000000000 examples needs"),
        ("probe.size=2000000000", "a probe set of 2000000000 examples needs"),
    ],
)
def test_sizes_beyond_the_machine(
    tiny: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], override: str, what: str
) -> None:
    output = tmp_path / "results"
    assert run_command([*tiny, override, f"output={output}"]) == 2
    said = capsys.readouterr().err
    assert re.fullmatch(rf"rnnbench: error: not enough memory: {what} [\d,]+ GB, and there are .*\n", said)
    assert not output.exists()


def test_what_fits_is_trained_and_one_byte_more_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "_bytes", lambda: 24)
    memory.require(memory.size_of({"a": jnp.zeros((2, 3))}), "this")
    with pytest.raises(UserError, match="this needs 0 MB, and there are 0 MB"):
        memory.require(25, "this")
    monkeypatch.setattr(memory, "_bytes", lambda: None)
    memory.require(10**30, "this")


def test_a_container_may_have_less_than_the_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    whole = memory._bytes()
    limit = tmp_path / "memory.max"
    monkeypatch.setattr(memory, "CGROUP_LIMIT", limit)
    limit.write_text("max\n")
    assert memory._bytes() >= whole
    limit.write_text("1000\n")
    assert memory._bytes() == 1000


def out_of_numpy() -> None:
    np.empty(2**45)


def out_of_xla() -> None:
    jnp.zeros(2**45).block_until_ready()


@pytest.mark.parametrize("allocate", [out_of_numpy, out_of_xla])
def test_memory_that_runs_out_later_is_one_line(allocate: Callable[[], None]) -> None:
    with pytest.raises(Exception, match=r"[Aa]llocat") as raised:
        allocate()
    message, code = describe(raised.value)
    assert (code, message.count("\n")) == (2, 0)
    assert message.startswith("not enough memory: ")
