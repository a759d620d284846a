"""A curriculum starts with the shortest sequences, and grows as the training score rises."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rnnbench
from rnnbench.config.schema import Config
from rnnbench.errors import UserError
from rnnbench.tasks import GrowingTask, Parity, VariableCopy
from rnnbench.training import curriculum, runner
from tests.helpers import optax_promotion

PARITY = [
    *("task=parity", "task.length=16", "task.test_length=16", "model=gru", "model.hidden_size=8", "train.log_every=1"),
    *("train.batch_size=8", "train.test_size=8", "probe.at_evaluation=[]", "optimizer.learning_rate=0.01"),
]


def train(output: Path, *overrides: str) -> list[runner.Row]:
    with optax_promotion():
        return runner.train(rnnbench.compose(*PARITY, f"output={output}", *overrides))


def scalar(output: Path, name: str) -> np.ndarray:
    metrics = rnnbench.load_metrics(output)
    own = metrics[(metrics["metric"] == name) & (metrics["split"] == "train")]
    return own.sort_values("step")["value"].to_numpy()


def test_the_recorded_length_follows_the_rule(tmp_path: Path) -> None:
    """The recorded scores of all steps are replayed in plain Python."""
    train(tmp_path, "train.curriculum=0.6", "train.steps=120", "train.eval_every=40")
    scores, found = scalar(tmp_path, "accuracy"), scalar(tmp_path, "longest")
    longest, average, expected = 1.0, 0.0, []
    for score in scores:
        expected.append(int(longest))
        average += 0.05 * (score - average)
        if average >= 0.6:
            longest, average = min(max(1.25 * longest, longest + 1), 16.0), 0.0
    assert found.tolist() == expected
    assert found[0] == 1
    assert found[-1] > 2


def test_it_ends_at_the_largest_length() -> None:
    at = curriculum.start(Parity(length=10, test_length=20))
    lengths = [float(at.longest)]
    for _ in range(200):
        at = curriculum.advance(at, jnp.float32(1.0), 0.5, Parity(length=10, test_length=20))
        lengths.append(float(at.longest))
    assert sorted(set(lengths)) == [1, 2, 3, 4, 5, 6.25, 7.8125, 9.765625, 10]
    assert lengths.count(1) == 14  # 1 - .95^14 > .5


@pytest.mark.parametrize(
    ("task", "real"), [(Parity(length=9, test_length=20), 3), (VariableCopy(length=9, symbols=2, alphabet=3), 3 + 3)]
)
def test_examples_are_no_longer_than_that(task: GrowingTask, real: int) -> None:
    keys = jax.random.split(jax.random.key(0), 200)
    short = jax.jit(jax.vmap(task.example_up_to, in_axes=(0, None)))(keys, jnp.int32(3))
    assert int(short.mask.sum(axis=1).max()) == real
    whole = jax.vmap(task.example)(keys)
    assert int(whole.mask.sum(axis=1).max()) == task.length
    assert jax.tree.map(jnp.shape, short) == jax.tree.map(jnp.shape, whole)


def test_it_resumes_bit_for_bit(tmp_path: Path) -> None:
    for output, lengths in (("parts", (40, 80)), ("whole", (80,))):
        for steps in lengths:
            train(tmp_path / output, "train.curriculum=0.5", f"train.steps={steps}", "train.eval_every=40")
    for name in ("loss", "longest", "grad_norm"):
        np.testing.assert_array_equal(scalar(tmp_path / "parts", name), scalar(tmp_path / "whole", name))
    assert scalar(tmp_path / "whole", "longest")[-1] > 1


def test_thresholds_fold(tmp_path: Path) -> None:
    def configs(output: str) -> list[Config]:
        own = [*PARITY, f"output={tmp_path / output}", "train.steps=60", "train.eval_every=60"]
        return [rnnbench.compose(*own, f"train.curriculum={threshold}") for threshold in (0.3, 0.9)]

    with optax_promotion():
        runner.train(*configs("folded"))
        for config in configs("alone"):
            runner.train(config)
    found = {output: rnnbench.load_metrics(tmp_path / output) for output in ("folded", "alone")}
    lengths = {output: table[table["metric"] == "longest"] for output, table in found.items()}
    last = {output: dict(zip(t["run_id"], t["value"], strict=True)) for output, t in lengths.items()}
    assert last["folded"] == last["alone"]
    assert len({*last["folded"].values()}) == 2


@pytest.mark.parametrize("overrides", [["task=adding"], ["task=reverse"], ["task=mackey_glass"]])
def test_a_task_without_lengths_is_refused(tmp_path: Path, overrides: list[str]) -> None:
    config = rnnbench.compose("model=rnn", *overrides, "train.curriculum=0.9", f"output={tmp_path}")
    message = r"train\.curriculum: expected null for this task; those that are trained on many lengths have one"
    with pytest.raises(UserError, match=message):
        runner.train(config)
