"""The runs that a sweep asks for are recorded next to its jobs."""

import pytest

from rnnbench.errors import UserError
from rnnbench.records.plans import planned_runs, record_plan
from rnnbench.records.writer import Records
from tests.records.jobs import CONFIG


def plan(*runs):
    return {run: {"task": "adding", "model": "gru", "steps": 100} for run in runs}


def test_plans_are_found_below_a_folder_and_not_in_jobs(tmp_path):
    assert planned_runs(tmp_path) == {}
    record_plan(tmp_path / "first", plan("a", "b"))
    record_plan(tmp_path / "second", plan("b", "c"))
    with Records(tmp_path / "second/job", CONFIG):
        record_plan(tmp_path / "second/job/checkpoints", plan("d"))
    assert planned_runs(tmp_path) == plan("a", "b", "c")


def test_the_same_sweep_replaces_its_plan(tmp_path):
    for _ in range(2):
        record_plan(tmp_path, plan("a", "b"))
    assert len(list(tmp_path.iterdir())) == 1
    record_plan(tmp_path, plan("a"))
    assert len(list(tmp_path.iterdir())) == 2


def test_a_run_is_planned_for_the_longest_training(tmp_path):
    for output, steps in (("a", 100), ("b", 200), ("c", 50)):
        record_plan(tmp_path / output, {"r": {"task": "adding", "model": "gru", "steps": steps}})
    assert planned_runs(tmp_path)["r"]["steps"] == 200


def test_what_cannot_be_written_or_read_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"file: expected a folder, got a file; choose another output="):
        record_plan(tmp_path / "file", plan("a"))
    with pytest.raises(UserError, match=r"cannot write .*file/below/sweep-.*; choose another output="):
        record_plan(tmp_path / "file/below", plan("a"))


@pytest.mark.parametrize("text", ["{", '{"format": "other"}', '{"format": "rnnbench", "version": 1}'])
def test_a_damaged_plan_is_named_and_the_others_are_read(tmp_path, capsys, text):
    record_plan(tmp_path, plan("a"))
    (tmp_path / "sweep-0123456789ab.json").write_text(text)
    assert planned_runs(tmp_path) == plan("a")
    assert f"left out: {tmp_path}/sweep-0123456789ab.json is damaged" in capsys.readouterr().err
