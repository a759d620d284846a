"""Uses the real wandb offline, and reads its files back with wandb's own tool, without a network or an account."""

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from rnnbench.errors import UserError
from rnnbench.loggers import wandb as loggers
from rnnbench.loggers.wandb import WandbLogger, has_account
from tests.helpers import run_command, table_of

CONFIG = {"task": {"name": "adding"}, "model": {"name": "gru"}, "seed": 0}


@pytest.fixture(autouse=True)
def no_account(tmp_path, monkeypatch):
    for name in ("WANDB_MODE", "WANDB_API_KEY", "WANDB_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))


def segment(steps):
    """Returns the tables that the records receive for one run: train metrics first, then test metrics."""
    last = steps[-1]
    at = {"run_id": "r1", "step": last}
    flow = {**at, "layer": [0, 0, 0, 1], "state": ["h", "h", "c", "h"], "time": [0, 1, 0, 0]}
    columns = {
        "metrics": {
            "run_id": "r1",
            "step": [*steps, last],
            "split": ["train"] * len(steps) + ["test"],
            "metric": ["loss"] * len(steps) + ["accuracy"],
            "value": [1 / (step + 1) for step in steps] + [0.5],
        },
        "scores": {**at, "metric": "accuracy", "by": ["distance", "attractors"],
                   "low": [33, 2], "high": [64, 2], "value": [0.75, 0.25], "count": 8},
        "gradient_flow": {**flow, "norm": [0.001, 0.1, 0.2, 0.3], "q10": 0.0, "q50": 0.0, "q90": 0.0},
        "showcase": {**at, "prompt": "I", "continuation": "need", "probability": 0.5, "correct": True},
    }  # fmt: skip
    return {name: table_of(name, own) for name, own in columns.items()}


def read_back(folder):
    """Returns the records of the newest offline run below a folder, as wandb itself reads them."""
    (log,) = sorted(folder.glob("wandb/offline-run-*/*.wandb"))[-1:]
    wandb = Path(sys.executable).with_name("wandb")
    output = subprocess.run([wandb, "leet", "inspect", "--json", log], check=True, capture_output=True, text=True)
    return [json.loads(line) for line in output.stdout.splitlines()]


def only(records, kind):
    (found,) = [record[kind] for record in records if record["type"] == kind]
    return found


def history(records):
    """Returns what was logged, row by row, without clock times."""
    items = [record["history"]["item"] for record in records if record["type"] == "history"]
    return [{name: value for name, value in item.items() if name not in ("_runtime", "_timestamp")} for item in items]


def test_what_is_recorded_arrives_under_the_same_names(tmp_path):
    logger = WandbLogger(project="study", tags=["a"])
    logger.start("r1", CONFIG, tmp_path, 0, None, 1)
    logger.write(0, segment([0]))
    logger.write(20, segment([10, 20]))
    logger.finish("finished")
    found = read_back(tmp_path)
    run = only(found, "run")
    assert (run["display_name"], run["project"], run["tags"]) == ("adding-gru-seed0", "study", ["a"])
    assert run["config"]["update"]["run_id"] == "r1"
    assert run["config"]["update"]["model"] == {"name": "gru"}
    first, second, third = history(found)
    assert second == {"_step": 10, "train/loss": pytest.approx(1 / 11)}
    assert third == {
        "_step": 20,
        "train/loss": pytest.approx(1 / 21),
        "test/accuracy": 0.5,
        "scores/accuracy/distance=33-64": 0.75,
        "scores/accuracy/attractors=2": 0.25,
        "gradient_flow/layer0/h._type": "histogram",
        "gradient_flow/layer0/h.bins": [0, 1, 2],
        "gradient_flow/layer0/h.values": [0.001, 0.1],
        "gradient_flow/layer0/c._type": "histogram",
        "gradient_flow/layer0/c.bins": [0, 1],
        "gradient_flow/layer0/c.values": [0.2],
        "gradient_flow/layer1/h._type": "histogram",
        "gradient_flow/layer1/h.bins": [0, 1],
        "gradient_flow/layer1/h.values": [0.3],
    }
    assert first == {**third, "_step": 0, "train/loss": 1}
    assert only(found, "exit")["exit_code"] == 0
    assert {"status": "finished"} in [
        record["summary"].get("update") for record in found if record["type"] == "summary"
    ]


def test_every_step_of_a_segment_is_logged_once_in_order_with_all_its_rows(tmp_path, monkeypatch):
    """The rows of a step need not be adjacent."""
    import wandb

    logged = []
    run = SimpleNamespace(log=lambda values, step: logged.append((step, values)))
    monkeypatch.setattr(wandb, "init", lambda **options: run)
    logger = WandbLogger()
    logger.start("r1", CONFIG, tmp_path, 0, None, 1)
    steps = [30, 10, 20]
    names = ["loss", "grad_norm"]
    columns = {
        "run_id": "r1",
        "step": steps * 2,
        "split": "train",
        "metric": [name for name in names for _ in steps],
        "value": [float(i) for i in range(6)],
    }
    flow = {"run_id": "r1", "layer": 0, "state": "h", "q10": 0.0, "q50": 0.0, "q90": 0.0}
    flow |= {"step": [20, 30, 20, 30], "time": [0, 0, 1, 1], "norm": [0.1, 0.2, 0.3, 0.4]}
    logger.write(30, {"metrics": table_of("metrics", columns), "gradient_flow": table_of("gradient_flow", flow)})
    assert [step for step, _ in logged] == [10, 20, 30]
    for step, values in logged:
        at = steps.index(step)
        histogram = values.pop("gradient_flow/layer0/h", None)
        assert values == {"train/loss": float(at), "train/grad_norm": float(at + 3)}
        expected = {20: [0.1, 0.3], 30: [0.2, 0.4]}.get(step)
        assert (histogram and histogram.histogram) == expected


def ids(folder):
    """Returns the ids of the offline runs below a folder, in the order in which they were started."""
    paths = sorted(folder.glob("wandb/offline-run-*/*.wandb"), key=lambda path: path.stat().st_ctime_ns)
    return [path.stem.removeprefix("run-") for path in paths]


def test_a_resumed_run_is_the_same_run_from_the_restored_step_on(tmp_path):
    for step in (0, 20):
        logger = WandbLogger()
        logger.start("r1", CONFIG, tmp_path, step, None, 1)
        logger.write(step + 10, {"metrics": segment([step + 10])["metrics"]})
        logger.finish("diverged")
    first, second = ids(tmp_path)
    assert first == second
    found = read_back(tmp_path)
    assert only(found, "run")["run_id"] == first
    assert [item["_step"] for item in history(found)] == [30]
    assert only(found, "exit")["exit_code"] == 1


def test_a_training_from_the_start_is_a_new_run(tmp_path):
    for _ in range(2):
        logger = WandbLogger()
        logger.start("r1", CONFIG, tmp_path, 0, None, 1)
        logger.finish("finished")
    first, second = ids(tmp_path)
    assert first != second
    assert first.startswith("r1-")
    assert second.startswith("r1-")


def test_a_run_that_was_deleted_there_goes_on_as_a_new_one(tmp_path, monkeypatch, capsys):
    import wandb

    started = []
    deleted = set()

    def init(**options):
        if options["id"] in deleted:
            raise wandb.errors.CommError(f"run {options['id']} was previously created and deleted; try a new run id")
        started.append(options["id"])

    monkeypatch.setattr(wandb, "init", init)
    WandbLogger().start("r1", CONFIG, tmp_path, 0, None, 1)
    deleted.update(started)
    WandbLogger().start("r1", CONFIG, tmp_path, 20, None, 1)
    assert "r1 was deleted from Weights & Biases: a new run there begins at step 20" in capsys.readouterr().err
    WandbLogger().start("r1", CONFIG, tmp_path, 30, None, 1)
    first, second, third = started
    assert first != second == third


def test_a_histogram_of_many_time_steps_is_averaged_down_to_what_wandb_takes():
    histogram = loggers._histogram([float(time // 2) for time in range(1024)])
    assert histogram.histogram == list(range(512))
    assert histogram.bins[-1] == 1024


def test_it_is_offline_without_an_account_and_online_with_one(tmp_path, monkeypatch):
    import wandb

    modes = []
    monkeypatch.setattr(wandb, "init", lambda **options: modes.append(options["mode"]))

    def start(mode=None, step=0):
        WandbLogger(mode=mode).start("r1", CONFIG, tmp_path, step, None, 1)

    assert not has_account()
    start()
    (tmp_path / "netrc").write_text("machine api.wandb.ai login user password secret")
    start(step=10)
    monkeypatch.setenv("WANDB_BASE_URL", "https://wandb.example.org")
    start()
    monkeypatch.setenv("WANDB_API_KEY", "secret")
    start()
    start("disabled")
    monkeypatch.setenv("WANDB_MODE", "offline")
    start()
    start("online")
    assert modes == ["offline", "online", "offline", "online", "disabled", "offline", "online"]


def test_bad_input_is_answered(tmp_path, monkeypatch):
    import wandb

    def fail(**options):
        raise wandb.errors.CommError("no route to host")

    monkeypatch.setattr(wandb, "init", fail)
    with pytest.raises(UserError, match=r"logger: wandb cannot start \(no route to host\); logger\.mode=offline"):
        WandbLogger(mode="online").start("r1", CONFIG, tmp_path, 0, None, 1)


def test_names_say_what_was_trained() -> None:
    assert loggers._name(CONFIG, 1) == "adding-gru-seed0"
    assert loggers._name(CONFIG, 100) == "adding-gru-100-runs"
    long = loggers._name({**CONFIG, "task": {"name": "a" * 200}}, 1)
    assert long == "a" * 122 + "-seed0"


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("logger.tags=[1]", "logger.tags: expected a list, each item a string, got [1]"),
        ("logger.tags=[[a]]", "logger.tags: expected a list, each item a string, got [['a']]"),
        ("logger.tags=[a,null]", "logger.tags: expected a list, each item a string, got ['a', null]"),
        ("logger.tags=a", "logger.tags: expected a list, each item a string, got 'a'"),
        ("logger.tags=['']", "logger.tags.0: expected a text of 1 to 64 characters, got ''"),
        (f"logger.tags=[a,{'x' * 65}]", "logger.tags.1: expected a text of 1 to 64 characters, got one of 65"),
        ("logger.project=' '", "logger.project: expected a text of 1 to 128 characters, got ' '"),
        (f"logger.group={'x' * 129}", "logger.group: expected a text of 1 to 128 characters, got one of 129"),
        ("logger.entity=''", "logger.entity: expected a text of 1 to 128 characters, got ''"),
        ("logger.project=a/b", "logger.project: expected a name without any of /\\#?%:, got / in it"),
        ("logger.max_runs=0", "logger.max_runs: expected 1 or more, got 0"),
        ("logger.mode=on", "logger.mode: expected one of 'online', 'offline', 'disabled' or null, got 'on'"),
    ],
)
def test_what_the_server_would_not_take_is_refused_before_anything_is_trained(
    tiny, tmp_path, capsys, override, message
):
    output = tmp_path / "results"
    assert run_command([*tiny, "logger=wandb", override, f"output={output}"]) == 2
    assert capsys.readouterr().err == f"rnnbench: error: {message}\n"
    assert not output.exists()


def test_what_only_wandb_refuses_is_one_line(tmp_path, monkeypatch):
    import wandb

    def fail(**options):
        raise ValueError("1 validation error for Settings\nrun_tags\n  too odd")

    monkeypatch.setattr(wandb, "init", fail)
    with pytest.raises(UserError, match=r"cannot start \(1 validation error for Settings run_tags too odd\)"):
        WandbLogger().start("r1", CONFIG, tmp_path, 0, None, 1)
