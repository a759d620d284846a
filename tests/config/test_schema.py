"""The configuration: what it accepts, and how it reports mistakes."""

from pathlib import Path

import optax
import pytest
from flax import nnx

from rnnbench.config import objects, schema
from rnnbench.config.applicable import FILES
from rnnbench.config.compose import compose
from rnnbench.config.metadata import keys
from rnnbench.errors import UserError

CONF = Path(__file__).parents[2] / "conf"


def options(group: str) -> list[str]:
    return sorted(path.stem for path in (CONF / group).glob("*.yaml"))


@pytest.mark.parametrize("model", options("model"))
def test_every_model_is_valid(model: str) -> None:
    parsed = compose(f"model={model}")
    assert parsed.model.name == model
    cell = objects.partial(parsed.model.cell, "model.cell", given=schema.CELL_ARGUMENTS)
    assert isinstance(cell(2, 8, rngs=nnx.Rngs(0)), nnx.Module)


@pytest.mark.parametrize("task", options("task"))
def test_every_task_is_valid(task: str) -> None:
    parsed = compose(f"task={task}")
    assert parsed.task["name"] == task
    if needed := [key for key in FILES if parsed.task.get(key, "") is None]:
        with pytest.raises(UserError, match=rf"task\.{needed[0]}: expected .* got none"):
            objects.instantiate(parsed.task, "task")
    else:
        assert objects.instantiate(parsed.task, "task").length > 0


@pytest.mark.parametrize("optimizer", options("optimizer"))
def test_every_optimizer_is_optax_own(optimizer: str) -> None:
    build = objects.partial(compose(f"optimizer={optimizer}").optimizer, "optimizer")
    assert build.func is getattr(optax, optimizer)
    assert isinstance(build(), optax.GradientTransformation)


def test_logger_is_off_unless_chosen() -> None:
    assert compose().logger is None
    chosen = compose("logger=wandb").logger
    assert chosen is not None
    assert chosen["_target_"] == "rnnbench.loggers.wandb.WandbLogger"


def test_the_defaults_are_those_of_the_schema() -> None:
    parsed, declared = compose(), schema.Config(task={}, optimizer={})
    assert (parsed.train, parsed.probe, parsed.population) == (declared.train, declared.probe, declared.population)
    assert parsed.model == schema.ModelConfig(name=parsed.model.name, cell=parsed.model.cell)
    assert (parsed.seed, parsed.output, parsed.overwrite, parsed.devices) == (0, "results", False, None)


def test_every_key_declares_what_it_is() -> None:
    for key in keys(schema.Config):
        assert key.declared.help, key.path
        assert key.declared.broken_limit(key.default) is None, key.path
        assert key.declared.recorded or not key.declared.identity, "what identifies a run is found in its folder"
        assert not key.declared.foldable or key.declared.identity, "members are told apart by their identity"


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("seed=abc", "seed: expected an integer, got 'abc'"),
        ("seed=1.5", "seed: expected an integer, got 1.5"),
        ("seed=true", "seed: expected an integer, got true"),
        ("seed=null", "seed: expected an integer, got null"),
        ("seed=-1", "seed: expected 0 or more, got -1"),
        ("seed=4294967296", "seed: expected less than 4294967296, got 4294967296"),
        ("train.steps=0", "train.steps: expected 1 or more, got 0"),
        ("train.clip_norm=x", "train.clip_norm: expected a number or null, got 'x'"),
        ("train.clip_norm=0", "train.clip_norm: expected more than 0, or null, got 0.0"),
        ("devices=0", "devices: expected 1 or more, or null, got 0"),
        ("overwrite=maybe", "overwrite: expected true or false, got 'maybe'"),
        ("train=null", "train: expected the keys steps, batch_size, "),
        ("model.cell=3", "model.cell: expected keys and values, got 3"),
        ("train=[1]", "train: expected keys and values, got a list"),
        ("probe.at_end={gates: true}", "probe.at_end: expected a list, got keys and values"),
        ("probe.at_end=[[gates]]", "probe.at_end: expected a list, each item a string, got [['gates']]"),
        ("model=[1]", "model: expected the name of an option, got [1]"),
        ("+logger.foo=3", "logger.foo: there is no logger to which this could belong; logger=NAME selects one"),
        ("+train.stepz=3", "train.stepz: unknown key; train has steps, batch_size, "),
        ("+train.stepz=3", "Did you mean steps?"),
        ("+optimizer.lr=3", "optimizer.lr: unknown key; optax.adam takes learning_rate, b1, "),
        ("+optimizer.lr=3", "Did you mean learning_rate?"),
        (
            "optimizer.learning_rate=abc",
            "optimizer.learning_rate: expected a number or the dotted name of a function, got 'abc'",
        ),
        ("~optimizer.learning_rate", "optimizer.learning_rate: missing; optax.adam needs it"),
        ("task.length=long", "task.length: expected an integer, got 'long'"),
        ("task.length=null", "task.length: expected an integer, got null"),
        ("task.length=???", "task.length: a value is missing"),
        ("task.form=1997", "got 1997, a number; the text is written with quotes inside: 'task.form=\"1997\"'"),
        ("output=", "output: expected a folder for the results, got ''"),
        ("~train.steps", "train.steps: cannot be deleted; without it on the command line, it has its default"),
        (
            "train.matmul_precision=half",
            "train.matmul_precision: expected one of bfloat16, tensorfloat32, float32, or null, got 'half'",
        ),
        (
            "probe.at_evaluation=gradient_flow",
            "probe.at_evaluation: expected a list, each item a string, got 'gradient_flow'",
        ),
        ("~task.name", "task.name: expected letters, digits and any of '_.+-', the first a letter or digit, since it"),
        ("model.name=..", "since it names folders, got '..'"),
        ("model.name=.", "since it names folders, got '.'"),
        ("model.name=-rf", "since it names folders, got '-rf'"),
        ("model.name=a/b", "since it names folders, got 'a/b'"),
        ("task.name='a b'", "since it names folders, got 'a b'"),
        ("model.name=''", "since it names folders, got ''"),
        ("optimizer.learning_rate=nan", "optimizer.learning_rate: expected a finite number, got nan"),
        ("optimizer.learning_rate=-inf", "optimizer.learning_rate: expected a finite number, got -inf"),
        ("train.omega=inf", "train.omega: expected a finite number, got inf"),
        ("train.omega='nan'", "train.omega: expected a finite number, got nan"),
        ("train.clip_norm=inf", "train.clip_norm: expected a finite number, got inf"),
        ("+model.cell.bias_init={_target_: a.b, value: [1, nan]}", "model.cell.bias_init.value.1: expected a finite"),
        ("model.cell.forget_bias=nan", "model.cell.forget_bias: expected a finite number, got nan"),
        ("model.hidden_size=99999999999999999999", "model.hidden_size: expected less than 2147483648 (JAX counts in"),
        (
            "task.length=2147483648",
            "task.length: expected less than 2147483648 (JAX counts in 32 bits), got 2147483648",
        ),
        ("seed=99999999999999999999", "seed: expected less than 4294967296, got 99999999999999999999"),
        ("optimizer.learning_rate=-1", "optimizer.learning_rate: expected 0 or more, got -1"),
        ("optimizer.b1=2", "optimizer.b1: expected less than 1, got 2"),
        ("+optimizer.eps_root=-1", "optimizer.eps_root: expected 0 or more, got -1"),
        (
            "model.cell._target_=nowhere.Cell",
            "model.cell._target_: cannot import nowhere.Cell: there is no module nowhere",
        ),
        (
            "model.cell._target_=flax.nnx.LTSMCell",
            "model.cell._target_: flax.nnx has no LTSMCell. Did you mean LSTMCell",
        ),
        (
            "model.cell._target_=optax.adam",
            "model.cell._target_: optax.adam cannot serve here: it is called with in_features",
        ),
        ("+model.cell.in_features=3", "model.cell.in_features: set by rnnbench itself"),
        ("optimizer.learning_rate=${nope}", "optimizer.learning_rate: ${nope} refers to nope, which does not exist"),
    ],
)
def test_a_mistake_is_told_in_one_line(override: str, message: str) -> None:
    with pytest.raises(UserError) as error:
        compose(override)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_numbers_that_a_length_cannot_be() -> None:
    parsed = compose("task=adding", "task.length=1")
    with pytest.raises(UserError, match=r"task\.length: expected at least 2 .*, got 1"):
        objects.instantiate(parsed.task, "task")
