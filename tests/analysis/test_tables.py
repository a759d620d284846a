"""Records load as tidy tables, however they were split into jobs."""

import os

import pandas as pd
import pyarrow as pa
import pytest

from rnnbench.analysis.tables import load_metrics, load_runs, load_scores, load_showcase, load_table, table_names
from rnnbench.errors import UserError
from rnnbench.records import files
from rnnbench.records.files import as_arrow
from rnnbench.records.schemas import SCHEMAS
from rnnbench.records.writer import Records
from tests.helpers import record_job, row
from tests.records.jobs import flip

LOADERS = {"metrics": load_metrics, "scores": load_scores, "showcase": load_showcase}


def done(run_id, status="finished", **more):
    return row(run_id, status, 200, **more)


def record(folder, rows, steps=(0, 100, 200), offset=0.0, finish=True):
    """Records a job whose metric values identify the run and the step."""
    values = {step: [step + offset + int(run["run_id"], 36) / 1000 for run in rows] for step in steps}
    record_job(folder, rows, {step: {"metrics": {"value": own}} for step, own in values.items()}, finish)


def test_runs_have_their_config_in_columns(tmp_path):
    record(tmp_path / "a/one", [done("b", **{"model.name": "gru", "task.name": "copy", "seed": 1, "final.loss": 0.5})])
    record(
        tmp_path / "two",
        [
            done("c", "diverged", diverged_at=150, **{"model.name": "rnn", "task.name": "adding", "task.length": 50}),
            done("a", "running", **{"model.name": "gru", "task.name": "copy", "seed": 0, "chance.loss": 2}),
        ],
    )
    runs = load_runs(tmp_path)
    assert runs["run_id"].tolist() == ["c", "a", "b"]  # sorted by task, model and seed
    assert runs["status"].tolist() == ["diverged", "running", "finished"]
    assert runs["diverged_at"].tolist()[0] == 150
    assert runs["diverged_at"].isna().tolist() == [False, True, True]
    assert runs["task.length"].dtype == "Int64"
    assert runs["task.length"].tolist()[0] == 50
    assert runs["final.loss"].isna().tolist() == [True, True, False]
    assert runs["folder"].tolist() == [str(tmp_path / "two")] * 2 + [str(tmp_path / "a/one")]
    columns = runs.columns.tolist()
    assert columns[:3] == ["run_id", "status", "step"]
    assert columns[-3:] == ["final.loss", "chance.loss", "folder"]
    one = load_runs(tmp_path / "a/one")
    assert one["run_id"].tolist() == ["b"]
    assert one["seed"].dtype == "int64"


def test_columns_that_disagree_in_type_become_text_and_others_do_not(tmp_path):
    record(tmp_path / "a", [done("a", x=1, flag=True, clip=None, lr=1)])
    record(tmp_path / "b", [done("b", x="one", flag=False, clip=1.0, lr=0.5)])
    runs = load_runs(tmp_path)
    assert runs["x"].tolist() == ["1", "one"]
    assert runs["flag"].tolist() == [True, False]
    assert runs["clip"].isna().tolist() == [True, False]
    assert runs["lr"].tolist() == [1.0, 0.5]


def test_folding_runs_into_populations_is_invisible(tmp_path):
    for name in "cab":
        record(tmp_path / "alone" / name, [done(name)])
    record(tmp_path / "folded" / "all", [done(name) for name in "bca"])
    alone, folded = load_metrics(tmp_path / "alone"), load_metrics(tmp_path / "folded")
    pd.testing.assert_frame_equal(alone, folded)
    assert alone["run_id"].tolist() == ["a"] * 3 + ["b"] * 3 + ["c"] * 3
    assert alone["step"].tolist() == [0, 100, 200] * 3
    assert alone["value"].tolist()[:4] == [0.010, 100.010, 200.010, 0.011]
    runs = [load_runs(tmp_path / name).drop(columns="folder") for name in ("alone", "folded")]
    pd.testing.assert_frame_equal(*runs)


def test_a_run_recorded_twice_is_read_once_from_the_job_that_got_furthest(tmp_path):
    record(tmp_path / "alone", [row("a", "running", 100)], steps=(0, 100), finish=False)
    record(tmp_path / "population", [done("a"), row("b", "running", 200)], offset=0.5)
    record(tmp_path / "z", [done("a"), done("b")], offset=0.25)
    runs = load_runs(tmp_path)
    assert runs["run_id"].tolist() == ["a", "b"]
    assert runs["status"].tolist() == ["finished", "finished"]
    assert [folder.rpartition("/")[2] for folder in runs["folder"]] == ["population", "z"]
    metrics = load_metrics(tmp_path)
    assert metrics["value"].round(3).tolist() == [0.51, 100.51, 200.51, 0.261, 100.261, 200.261]


def test_a_job_in_training_is_read(tmp_path):
    record(tmp_path / "job", [row("a", "running", 100)], steps=(0, 100), finish=False)
    assert load_metrics(tmp_path)["step"].tolist() == [0, 100]
    with Records(tmp_path / "begun", {}):
        assert load_runs(tmp_path)["run_id"].tolist() == ["a"]  # a job without runs is skipped


@pytest.mark.parametrize("name", SCHEMAS)
def test_tables_without_rows_keep_their_columns(tmp_path, name):
    with Records(tmp_path / "job", {}) as owner:
        owner.set_runs([done("a")])
    assert LOADERS[name](tmp_path).columns.tolist() == SCHEMAS[name].names
    assert load_table(tmp_path, "unheard_of").columns.tolist() == ["run_id", "step"]
    assert table_names(tmp_path) == []


@pytest.mark.parametrize("load", [load_runs, *LOADERS.values()])
def test_paths_without_records_are_named(tmp_path, load):
    with pytest.raises(UserError, match="nowhere: there is no such folder"):
        load(tmp_path / "nowhere")
    with pytest.raises(UserError, match=f"{tmp_path}: no records of rnnbench in it or below it$"):
        load(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="file is a file; expected a folder"):
        load(tmp_path / "file")
    with Records(tmp_path / "job", {}), pytest.raises(UserError, match=r"no records of rnnbench .* yet"):
        load(tmp_path)
    (tmp_path / "job/provenance.json").write_text('{"format": "rnnbench", "version": 2}')
    with pytest.raises(UserError, match="job holds records of format version 2"):
        load(tmp_path)


@pytest.mark.parametrize("name", ["runs.arrow", "metrics.parquet"])
@pytest.mark.parametrize("missing", [False, True])
def test_what_is_good_is_read_and_what_is_not_is_named(tmp_path, capsys, name, missing):
    for run in "ab":
        record(tmp_path / run, [done(run)])
    path = tmp_path / "b" / name
    if missing:
        path.unlink()
    else:
        flip(path, 300)
    assert set(load_metrics(tmp_path)["run_id"]) == {"a"}
    assert set(load_runs(tmp_path)["run_id"]) == ({"a"} if name == "runs.arrow" else {"a", "b"})
    assert capsys.readouterr().err.count(f"left out: {path} is ") == 1


def test_a_table_whose_file_is_missing_keeps_its_name(tmp_path):
    record(tmp_path / "job", [done("a")])
    names = table_names(tmp_path)
    (tmp_path / "job/metrics.parquet").unlink()
    assert table_names(tmp_path) == names


def test_a_missing_part_of_a_job_in_training_is_named(tmp_path, capsys):
    record(tmp_path / "a", [done("a")])
    record(tmp_path / "b", [done("b", "running")], finish=False)
    assert set(load_metrics(tmp_path)["run_id"]) == {"a", "b"}
    (path := tmp_path / "b/metrics/00000001-00000100.parquet").unlink()
    assert set(load_metrics(tmp_path)["run_id"]) == {"a"}
    assert capsys.readouterr().err.count(f"left out: {path} is missing") == 1


def test_broken_files_are_named(tmp_path):
    record(tmp_path / "job", [done("a")])
    (tmp_path / "job/metrics.parquet").write_bytes(b"PAR1 and then nothing")
    with pytest.raises(UserError, match=r"job/metrics\.parquet is damaged"):
        load_metrics(tmp_path)
    (tmp_path / "job/runs.arrow").write_bytes((tmp_path / "job/metrics.parquet").read_bytes())
    with pytest.raises(UserError, match=r"job/runs\.arrow is damaged"):
        load_runs(tmp_path)
    (tmp_path / "job/runs.arrow").write_bytes(as_arrow(pa.table({"run_id": ["x"]}), {"version": "1"}))
    with pytest.raises(UserError, match=r"job/runs\.arrow is no file of rnnbench: it has no column 'status'"):
        load_runs(tmp_path)


def test_hundreds_of_folders_load_at_once(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
    config = {f"model.key{index}": index / 2 for index in range(20)}
    for index in range(200):
        record(tmp_path / f"job-{index}", [done(f"{index}", **config)], steps=(100,))
    read: list[str] = []
    original = files.read_whole
    monkeypatch.setattr(files, "read_whole", lambda path: read.append(path) or original(path))
    assert len(load_runs(tmp_path)) == len(load_metrics(tmp_path)) == 200
    assert len(read) == 200 + 2 * 200, "the runs once, then the runs and the metrics: not every job for every other"
