"""A signal while a job trains: what is saved, what is said, and whose handlers stay."""

import contextlib
import gc
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import rnnbench
from rnnbench.config.schema import Config
from rnnbench.training import runner, stopping
from rnnbench.training.program import Program
from rnnbench.training.stopping import Stopped, Stopping, delayed, interruptible, signal_behind

Compose = Callable[..., Config]
LONG = ["train.steps=24", "train.eval_every=4", "train.checkpoint_seconds=1000"]


@pytest.fixture(autouse=True)
def ctrl_c_interrupts() -> Iterator[None]:
    """Gives Ctrl-C its usual handler: a test suite in the background ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def raised_in(method: str, at: int, number: int, patch: pytest.MonkeyPatch, times: int = 1) -> None:
    """Lets a signal come when a function of `Program` or `runner` is called for the given time."""
    owner = Program if hasattr(Program, method) else runner
    original, calls = getattr(owner, method), iter(range(1000))

    def call(*arguments: object) -> object:
        if next(calls) + 1 == at:
            for _ in range(times):
                signal.raise_signal(number)
        return original(*arguments)

    patch.setattr(owner, method, call)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("method", ["segment", "evaluate"])
def test_a_stopped_run_ends_bit_for_bit_as_an_uninterrupted_one(
    compose: Compose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, method: str
) -> None:
    runner.train(compose(f"output={tmp_path / 'whole'}", *LONG))
    config = compose(f"output={tmp_path / 'stopped'}", *LONG)
    handlers = [signal.getsignal(each) for each in stopping.SIGNALS]
    with monkeypatch.context() as patch:
        raised_in(method, 4 if method == "evaluate" else 3, number, patch)  # the first evaluation is before training
        with pytest.raises(Stopped, match="stopped at step 12; the same command resumes from there") as error:
            runner.train(config)
    assert error.value.exit_code == 128 + number
    assert [signal.getsignal(each) for each in stopping.SIGNALS] == handlers
    [folder], [whole] = (list((tmp_path / name).iterdir()) for name in ("stopped", "whole"))
    assert (folder / "checkpoints/12").is_dir()
    runner.train(config)
    for table in whole.glob("*.parquet"):
        assert (folder / table.name).read_bytes() == table.read_bytes()


def test_a_segment_that_does_not_end_is_given_up(
    compose: Compose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(stopping, "GRACE_SECONDS", 0.2)
    config = compose(f"output={tmp_path}", *LONG, "train.checkpoint_seconds=0")
    looks = iter([True, True, *[False] * 1000])
    monkeypatch.setattr(runner, "_is_computed", lambda scalars: next(looks))
    raised_in("segment", 3, signal.SIGINT, monkeypatch)
    with pytest.raises(Stopped, match=r"\(the segment did not end within 0 s\); .* resumes from step 8, the last") as e:
        runner.train(config)
    assert e.value.computing
    assert "stopping after this segment, to save what it trained; Ctrl-C again stops at once" in capsys.readouterr().err


def test_a_second_signal_says_what_is_lost(compose: Compose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    raised_in("segment", 3, signal.SIGINT, monkeypatch, times=2)
    with pytest.raises(Stopped, match=r"at once \(by a second signal\); the same command resumes from the start, for"):
        runner.train(compose(f"output={tmp_path}", *LONG))


def test_a_job_that_ends_anyway_is_finished_and_no_other_begins(
    compose: Compose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    configs = [compose(f"output={tmp_path}", *LONG, "population.max_size=1", f"seed={seed}") for seed in (0, 1)]
    raised_in("_medians", 7, signal.SIGINT, monkeypatch)  # called once more, to show the end
    with pytest.raises(Stopped, match="stopped after the end of this job; the same command goes on with what is left"):
        rnnbench.train(configs)
    assert rnnbench.load_runs(tmp_path).status.tolist() == ["finished"]


def test_handlers_of_others_stay() -> None:
    caught: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: caught.append(number))
    try:
        with interruptible(), Stopping(lambda: 0, print) as stop:
            signal.raise_signal(signal.SIGTERM)
            assert stop.asked is None
    finally:
        signal.signal(signal.SIGTERM, before)
    assert caught == [signal.SIGTERM]


def test_sigterm_interrupts_a_command_that_trains_nothing() -> None:
    with pytest.raises(KeyboardInterrupt) as error, interruptible():
        signal.raise_signal(signal.SIGTERM)
    assert (error.value.exit_code, str(error.value)) == (143, "")
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_delayed_signal_comes_at_the_end(number: int) -> None:
    order = []
    with contextlib.suppress(KeyboardInterrupt), interruptible():
        with delayed():
            signal.raise_signal(number)
            order.append("the end of the block")
        order.append("what follows")
    assert order == ["the end of the block"]


@pytest.mark.parametrize("number", stopping.SIGNALS)
def test_a_signal_in_a_callback_of_the_garbage_collector_gets_through(
    number: int, capfd: pytest.CaptureFixture[str]
) -> None:
    """JAX has such a callback. Python prints what it raises as `Exception ignored in`, and goes on."""
    calls: list[str] = []

    def callback(phase: str, info: dict[str, int]) -> None:
        calls.append(phase)
        if len(calls) == 1:
            signal.raise_signal(number)

    gc.callbacks.append(callback)
    try:
        with pytest.raises(Stopped) as error, interruptible():
            _ = gc.collect(), time.sleep(10)
    finally:
        gc.callbacks.remove(callback)
    assert calls
    assert error.value.exit_code == 128 + number
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("number", stopping.SIGNALS)
def test_a_signal_that_other_code_swallows_is_raised_again(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stopping, "AGAIN_SECONDS", 0.1)
    swallowed: list[float] = []

    def swallow_three_times() -> None:
        for i in range(3):
            with contextlib.suppress(KeyboardInterrupt):
                if i == 0:
                    signal.raise_signal(number)
                time.sleep(10)
            swallowed.append(time.monotonic())
        time.sleep(10)

    with pytest.raises(Stopped) as error, interruptible():
        swallow_three_times()
    assert error.value.exit_code == 128 + number
    assert time.monotonic() - swallowed[0] < 5


def test_a_swallowed_signal_stops_a_short_command_at_its_end() -> None:
    with pytest.raises(Stopped), interruptible(), contextlib.suppress(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)


def test_a_signal_that_was_swallowed_before_training_asks_to_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stopping, "AGAIN_SECONDS", 0.1)

    def train() -> None:
        with contextlib.suppress(KeyboardInterrupt):
            signal.raise_signal(signal.SIGTERM)
        with Stopping(lambda: 0, print) as stop:
            stop.wait(lambda: stop.asked is not None)
            raise stop.stopped(3)

    with pytest.raises(Stopped, match="stopped at step 3"), interruptible():
        train()


def test_a_signal_is_found_behind_errors_of_a_library() -> None:
    stop, inner, outer = KeyboardInterrupt(), ValueError(), ValueError()
    inner.__context__ = stop
    outer.__cause__, outer.__context__ = TypeError(), inner
    assert signal_behind(outer) is stop
    inner.__context__ = outer  # each is behind the other
    assert signal_behind(outer) is None
