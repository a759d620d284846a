"""What identifies a run, what is compiled, what is recorded, and what may differ within a population."""

from rnnbench.config import identity, schema
from rnnbench.config.compose import compose
from tests.helpers import with_distance


def test_the_identity_is_what_determines_the_numbers() -> None:
    reference = identity.run_id(compose())
    same = ["output=elsewhere", "overwrite=true", "devices=2", "logger=wandb", "train.checkpoint_seconds=1"]
    same += ["model.remat_every=5", "probe.at_end=[]", "population.max_size=1", "+experiment.x=1", "report=false"]
    same += ["train.steps=1"]  # how far it is trained
    other = ["seed=1", "model.hidden_size=3", "optimizer.b1=0.5", "model.cell.forget_bias=0"]
    other += ["task.length=7", "probe.size=3", "probe.at_evaluation=[]", "train.matmul_precision=float32"]
    other += ["train.omega=1", "train.stop_when_solved=true"]
    assert {identity.run_id(compose(override)) for override in same} == {reference}
    assert len({identity.run_id(compose(override)) for override in other} | {reference}) == len(other) + 1


def test_a_number_is_the_same_run_however_it_is_written() -> None:
    one = compose("optimizer.learning_rate=1", "model.cell.forget_bias=0", "train.clip_norm=2", "optimizer.b1=0")
    other = compose(
        "optimizer.learning_rate=1.0", "model.cell.forget_bias=0.0", "train.clip_norm=2e0", "optimizer.b1=0."
    )
    assert identity.run_id(one) == identity.run_id(other)
    flat = identity.flatten(identity.identity(one))
    assert all(type(flat[f"optimizer.{key}"]) is float for key in ("learning_rate", "b1", "b2", "eps"))
    assert type(flat["task.length"]) is int
    assert identity.run_id(compose("optimizer.learning_rate=1e-2")) == identity.run_id(
        compose("optimizer.learning_rate=0.01")
    )


def test_an_initialiser_is_chosen_by_its_name() -> None:
    chosen = "+model.cell.recurrent_kernel_init=rnnbench.cells.identity_matrix"
    by_gate = "+model.cell.bias_init={forget: jax.nn.initializers.ones}"
    ids = {identity.run_id(compose(*overrides)) for overrides in ((), (chosen,), (by_gate,), (chosen, by_gate))}
    assert len(ids) == 4
    cell = compose(chosen, by_gate).model.cell
    assert cell["recurrent_kernel_init"] == "rnnbench.cells.identity_matrix"
    assert cell["bias_init"] == {"forget": "jax.nn.initializers.ones"}


def test_the_run_id_stays_the_same_between_versions() -> None:
    """This hash finds existing results. Change it only together with the version of the records."""
    parsed = schema.Config(
        model=schema.ModelConfig(name="m", cell={"_target_": "a.Cell", "bias": 1.0}),
        task={"name": "t", "_target_": "a.Task"},
        optimizer={"_target_": "optax.adam", "learning_rate": 1e-3},
    )
    assert identity.run_id(parsed) == "398f0372daaf"


def test_an_added_key_is_part_of_the_identity_once_it_is_set() -> None:
    assert "model.parameters" not in identity.flatten(identity.identity(compose()))
    assert "model.parameters" in identity.flatten(identity.described(compose()))
    budgets = [compose(f"model.parameters={budget}") for budget in (1000, 2000)]
    assert len({identity.run_id(config) for config in (compose(), *budgets)}) == 3


ADDED = {
    "model.parameters": None,
    "model.residual": False,
    "model.layer_norm": False,
    "model.bidirectional": False,
    "model.tie_embedding": False,
    "init": None,
    "schedule": None,
    "train.clip_value": None,
    "train.clip_ratio": None,
    "train.truncate": None,
    "train.curriculum": None,
    "model.dropout": 0.0,
    "model.recurrent_dropout": 0.0,
}


def test_what_is_described_compiled_and_recorded() -> None:
    reference = compose()
    about = identity.flatten(identity.described(reference))
    assert about == {**identity.flatten(identity.identity(reference)), "train.steps": 2000, **ADDED}
    assert identity.compiled(compose("train.steps=1")) != identity.compiled(reference)
    assert identity.compiled(compose("model.remat_every=5")) != identity.compiled(reference)
    assert identity.compiled(compose("output=elsewhere", "devices=2", "probe.at_end=[]")) == identity.compiled(
        reference
    )
    recorded = identity.recorded(compose("output=elsewhere", "report=false"))
    assert recorded["output"] == "elsewhere"
    assert recorded["population"] == {"max_size": 128, "members": None}
    assert not {"overwrite", "compilation_cache", "report", "distributed"} & set(recorded)


def test_flatten_names_every_leaf_by_its_path() -> None:
    nested = {"a": {"b": {"c": 1}, "d": [1, 2]}, "e": None}
    assert identity.flatten(nested) == {"a.b.c": 1, "a.d": "[1, 2]", "e": None}


def test_what_folds_is_declared_by_the_code() -> None:
    adam = {"optimizer.learning_rate", "optimizer.b1", "optimizer.b2", "optimizer.eps"}
    every = {"seed", "train.omega", "model.dropout", "model.recurrent_dropout", *adam}
    assert identity.foldable(compose("model=lstm")) == {"train.clip_norm", "model.cell.forget_bias", *every}
    assert identity.foldable(compose("model=gru", "train.clip_norm=null")) == {"model.cell.update_bias", *every}
    of_adamw = identity.foldable(compose("optimizer=adamw"))
    assert "optimizer.weight_decay" in of_adamw
    assert not [key for key in of_adamw if key.startswith("optimizer.mask")], "its function is no schedule"
    assert "task.distance" in identity.foldable(with_distance(compose(), 4))
