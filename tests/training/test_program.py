"""Populations: members match their solo runs, on any number of devices, without a second compilation."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np
import pytest

import rnnbench
from rnnbench.config.schema import Config
from rnnbench.errors import UserError
from rnnbench.probes.gradient_flow import GradientFlow, gradient_flow
from rnnbench.training import program as programs
from rnnbench.training import runner
from rnnbench.training.program import Program, program
from tests.helpers import run_sweep, with_distance

Compose = Callable[..., Config]


def train(configs: list[Config], devices: int, segments: int = 2) -> tuple[Program, dict[str, np.ndarray]]:
    shared = program(configs, jax.local_devices()[:devices])
    states = shared.place([shared.init(config) for config in configs])
    rows = []
    for _ in range(segments):
        states, scalars = shared.segment(states)
        rows.append(jax.device_get(scalars))
    tests = {f"test.{name}": values for name, values in shared.evaluate(states)[0].items()}
    return shared, {name: np.concatenate([row[name] for row in rows], axis=1) for name in rows[0]} | tests


@pytest.mark.parametrize("model", ["rnn", "lstm", "gru"])
def test_results_do_not_depend_on_the_number_of_devices(compose: Compose, model: str) -> None:
    config = compose(f"model={model}")
    assert jax.local_device_count() >= 4, "set by conftest.py"
    one = train([config], 1)[1]
    for devices in (2, 4):
        shared, several = train([config], devices)
        assert shared.batch_axis is not None, "one run spreads its batch"
        for name, values in one.items():
            np.testing.assert_allclose(several[name], values, rtol=1e-3, atol=1e-5, err_msg=name)


def test_gradient_flow_is_mean_and_quantiles_over_the_probe_batch(compose: Compose) -> None:
    config = compose("model=lstm", "model.num_layers=1")
    shared = program([config])
    state = shared.init(config)
    task = shared.tasks[0]
    [flow] = shared.measure(GradientFlow(), shared.place([state]), 16)
    every = gradient_flow(shared.builder.model(state.params, {}), task, task.probe_set(16))
    assert set(flow) == set(every) == {(0, "h"), (0, "c")}
    for name, norms in every.items():
        expected = [norms.mean(-1), *(np.quantile(norms, level, axis=-1) for level in (0.1, 0.5, 0.9))]
        np.testing.assert_allclose(flow[name], expected, rtol=1e-4)


def test_the_data_are_the_same_on_any_number_of_devices(compose: Compose) -> None:
    """With a learning rate of 0, the losses depend only on the data; sums over the batch differ only by rounding."""
    config = compose("optimizer.learning_rate=0")
    one, four = (train([config], devices)[1]["loss"] for devices in (1, 4))
    np.testing.assert_allclose(four, one, rtol=1e-6)
    assert len(np.unique(one)) == one.size, "every step draws data of its own"


@pytest.mark.parametrize("members", [2, 3])
def test_members_are_their_solo_runs(compose: Compose, members: int) -> None:
    configs = [dataclasses.replace(compose(), seed=seed) for seed in range(members)]
    shared, together = train(configs, 2)
    assert (shared.batch_axis is None) == (members == 2), "two members on two devices, three on their batches"
    for i, config in enumerate(configs):
        alone = train([config], 1)[1]
        for name, values in alone.items():
            np.testing.assert_allclose(together[name][i], values[0], rtol=1e-3, atol=1e-5, err_msg=name)
    assert not np.allclose(together["loss"][0], together["loss"][1])


def test_jobs_that_share_a_program_compile_its_probes_once(
    compose: Compose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    traced = []
    measure = GradientFlow.measure
    monkeypatch.setattr(GradientFlow, "measure", lambda *arguments: traced.append(1) or measure(*arguments))
    for seed in range(3):
        runner.train(compose("model=gru", "model.hidden_size=3", f"seed={seed}", f"output={tmp_path}"))
    assert traced == [1]


def test_a_number_that_the_cell_uses_at_every_step_is_each_member_s_own(compose: Compose) -> None:
    configs = [compose("model=leaky", f"model.cell.leak={leak}") for leak in (0.1, 0.9)]
    shared, together = train(configs, 1)
    assert shared.folded == ["model.cell.leak"]
    for i, config in enumerate(configs):
        alone = train([config], 1)[1]
        for name, values in alone.items():
            np.testing.assert_allclose(together[name][i], values[0], rtol=1e-3, atol=1e-5, err_msg=name)
    assert not np.allclose(together["loss"][0], together["loss"][1], rtol=0.01)


def test_a_member_that_diverges_leaves_the_others_alone(compose: Compose) -> None:
    configs = [dataclasses.replace(compose(), seed=seed) for seed in range(2)]
    shared = program(configs, jax.local_devices()[:1])
    states = [shared.init(config) for config in configs]
    broken = jax.tree.map(lambda leaf: leaf * np.float32(np.nan), states[0].params)
    after, _ = shared.segment(shared.place([states[0]._replace(params=broken), states[1]]))
    alone, _ = shared.segment(shared.place(states))
    assert after.diverged_at.tolist() == [1, -1]
    jax.tree.map(lambda a, b: np.testing.assert_array_equal(a[1], b[1]), after.params, alone.params)


def test_matmuls_multiply_in_the_type_that_is_asked_for(compose: Compose) -> None:
    """A CPU always multiplies in float32, so the test checks the instructions to the compiler."""
    config = compose("train.matmul_precision=bfloat16", "model=gru")
    shared = program([config], jax.local_devices()[:1])
    one = shared.init(config)
    text = jax.jit(shared._segment).lower(one).as_text()
    products = [line for line in text.splitlines() if "dot_general" in line and "xf32" in line]
    assert products
    assert all("lhs_precision_type = bf16" in line and "accumulation_type = f32" in line for line in products)
    plain = program([compose("model=gru")], jax.local_devices()[:1])
    assert "bf16" not in jax.jit(plain._segment).lower(one).as_text()


@pytest.mark.parametrize("task", ["adding", "copy"])  # their answers: at the last step, and at several steps
def test_segments_compile_once(compose: Compose, task: str) -> None:
    config = compose("model=gru", f"task={task}")
    shared = program([config], jax.local_devices()[:2])
    states = shared.place([shared.init(config)])
    compilations: list[str] = []
    probe = GradientFlow()

    def listen(event: str, duration: float, **about: object) -> None:
        if "backend_compile" in event:
            compilations.append(event)

    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        counts = []
        for _ in range(3):
            states, scalars = shared.segment(states)
            jax.device_get(scalars)
            shared.evaluate(states)
            shared.measure(probe, states, config.probe.size)
            counts.append(len(compilations))
    finally:
        jax.monitoring.unregister_event_duration_listener(listen)
    assert counts[0] > 0, "the listener hears no compilation: the check below would be empty"
    assert counts[1:] == counts[:1] * 2


def test_runs_that_differ_in_their_seed_share_a_program(compose: Compose) -> None:
    first = program([compose("seed=0")])
    assert program([compose("seed=1")]) is first
    assert program([compose("seed=1", "model.hidden_size=3")]) is not first


def test_foreign_cells_train(compose: Compose) -> None:
    config = compose()
    config.model.cell = {"_target_": "flax.nnx.GRUCell"}
    _, rows = train([config], 2)
    assert np.isfinite(rows["loss"]).all()


def test_four_devices_give_the_tables_of_one(tiny: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run_sweep(tiny, tmp_path / "four", "model=rnn,gru", "seed=range(6)") == 0
    build = programs._program
    with monkeypatch.context() as patch:
        patch.setattr(programs, "_program", lambda shared, devices: build(shared, devices[:1]))
        assert run_sweep(tiny, tmp_path / "one", "model=rnn,gru", "seed=range(6)") == 0
    for name in ("metrics", "scores", "gradient_flow"):
        four, one = rnnbench.load_table(tmp_path / "four", name), rnnbench.load_table(tmp_path / "one", name)
        value = ["norm", "q10", "q50", "q90"] if "norm" in four else ["value"]
        assert four.drop(columns=value).equals(one.drop(columns=value))
        np.testing.assert_allclose(four[value], one[value], rtol=1e-3, atol=1e-6)


def test_a_number_of_the_task_reaches_the_data(compose: Compose) -> None:
    configs = [with_distance(compose("optimizer.learning_rate=0.0"), distance) for distance in (2, 8)]
    shared = program(configs)
    assert shared.folded == ["task.distance"]
    _, scalars = shared.segment(shared.place([shared.init(config) for config in configs]))
    for i, config in enumerate(configs):
        alone = program([config])
        _, expected = alone.segment(alone.place([alone.init(config)]))
        np.testing.assert_allclose(scalars["loss"][i], expected["loss"][0], rtol=1e-6)
    assert not np.allclose(scalars["loss"][0], scalars["loss"][1])


@pytest.mark.parametrize("members", [3, 5, 8])
def test_members_that_do_not_divide_evenly(compose: Compose, members: int) -> None:
    """On four devices, few members split their batches. If the batches do not divide either, members are repeated."""
    configs = [compose(f"seed={seed}", "train.batch_size=6") for seed in range(members)]
    shared, single = (program(configs, jax.local_devices()[:count]) for count in (4, 1))
    assert shared.repeated == {3: 1, 5: 3, 8: 0}[members]
    results = []
    for each in (shared, single):
        states = each.place([each.init(config) for config in configs])
        for _ in range(2):
            states, scalars = each.segment(states)
        flow = np.stack([of[0, "h"] for of in each.measure(GradientFlow(), states, 4)])
        results.append((scalars["loss"], each.evaluate(states)[0]["loss"], flow, states.step))
    for several, one in zip(*results, strict=True):
        np.testing.assert_allclose(several, one, rtol=1e-4, atol=1e-6)
        assert len(several) == members


def test_the_numbers_of_every_member_are_checked(compose: Compose) -> None:
    """They are traced in the program, so that the cell itself would not see what is wrong with those of the second."""
    configs = [compose("model=lru", f"model.cell.r_max={number}") for number in (0.95, 1.5)]
    with pytest.raises(UserError, match=r"model\.cell\.r_max: expected 0 <= r_min < r_max < 1, got .* 1\.5"):
        program(configs)


AXES = {
    "optimizer.learning_rate": (1e-3, 3e-2),
    "model.cell.forget_bias": (0.0, 2.0),
    "train.clip_norm": (0.01, 1.0),
    "train.clip_value": (0.001, 1.0),
    "train.clip_ratio": (0.001, 1.0),
    "train.omega": (0.5, 3.0),
}


@pytest.mark.parametrize("key", AXES)
def test_a_member_is_its_solo_run(compose: Compose, tmp_path: Path, key: str) -> None:
    configs = [compose("model=lstm", f"{key}={value}", f"output={tmp_path}/folded") for value in AXES[key]]
    runner.train(*configs)
    for config in configs:
        runner.train(compose("model=lstm", f"{key}={AXES[key][configs.index(config)]}", f"output={tmp_path}/alone"))
    folded, alone = (rnnbench.load_metrics(tmp_path / name) for name in ("folded", "alone"))
    assert folded.drop(columns="value").equals(alone.drop(columns="value"))
    np.testing.assert_allclose(folded.value, alone.value, rtol=1e-3, atol=1e-6)
    losses = folded[(folded.metric == "loss") & (folded.split == "test")].groupby("run_id").value.last()
    assert losses.nunique() == 2, "the axis makes a difference"
    for column in rnnbench.load_runs(tmp_path / "folded"):
        if not column.startswith(("final.", "folder")):
            ours, theirs = (rnnbench.load_runs(tmp_path / name)[column] for name in ("folded", "alone"))
            assert ours.equals(theirs), column
