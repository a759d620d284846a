"""Readers see whole rows, whatever the owner is doing, and report what is wrong with a file."""

from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.dataset
import pytest

from rnnbench.analysis.tables import load_runs
from rnnbench.errors import UserError
from rnnbench.records import reader
from rnnbench.records.files import as_arrow
from rnnbench.records.folders import job_folders
from rnnbench.records.reader import is_complete, lost, read_runs, runs_table
from rnnbench.records.seals import _after, sealed_arrow
from rnnbench.records.writer import Records
from tests.helpers import row, tables_of
from tests.records.jobs import CONFIG, flip, metrics, steps, train


def test_other_programs_read_the_folder_as_it_is(folder):
    with Records(folder, CONFIG) as owner:
        owner.set_runs([row("a", **{"train.clip_norm": None}), row("b", **{"train.clip_norm": 1})])
        owner.write(100, tables_of({"metrics": metrics(100)}))
        owner.write(200, tables_of({"metrics": metrics(200)}))
        (folder / "metrics/.00000300.parquet.tmp").write_bytes(b"half")
        assert pyarrow.dataset.dataset(folder / "metrics").to_table()["step"].to_pylist() == [100, 200]
        assert pd.read_parquet(folder / "metrics")["value"].tolist() == [100, 200]
    assert pd.read_feather(folder / "runs.arrow")["run_id"].tolist() == ["a", "b"]


def test_a_reader_outlives_the_merge_of_the_parts_it_has_listed(folder, monkeypatch):
    train(folder, None, 300)
    listed = reader.parts_of

    def merge_after_listing(*arguments):
        parts = listed(*arguments)
        monkeypatch.setattr(reader, "parts_of", listed)
        with Records(folder, CONFIG) as owner:
            owner.finish([row("r", "finished", 300)])
        return parts

    monkeypatch.setattr(reader, "parts_of", merge_after_listing)
    assert steps(folder) == [0, 100, 200, 300]


def test_a_listing_in_the_middle_of_a_merge_is_repeated(folder, monkeypatch):
    """A folder that changes while it is listed may give some parts neither before nor after they are merged."""
    train(folder, None, 300)
    listed, calls = reader.parts_of, []

    def torn_at_first(*arguments):
        calls.append(arguments)
        parts = listed(*arguments)
        return parts[:2] if len(calls) == 1 else parts

    monkeypatch.setattr(reader, "parts_of", torn_at_first)
    assert steps(folder) == [0, 100, 200, 300]
    assert len(calls) == 4, "listed twice, before and after it was read"


def test_a_table_without_rows_has_its_columns(folder):
    train(folder, None, 100)
    with Records(folder, CONFIG) as owner:
        owner.rewind(None, [row()])
    assert reader.read_table(folder, "metrics").schema.names == ["run_id", "step", "split", "metric", "value"]
    assert reader.read_table(folder, "a_probe").schema.names == ["run_id", "step"]


def test_broken_and_foreign_parts_are_named(folder):
    train(folder, None, 100)
    part = folder / "metrics/00000001-00000100.parquet"
    whole = part.read_bytes()
    part.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match=r"metrics/00000001-00000100\.parquet is damaged"):
        steps(folder)
    part.write_bytes((folder / "scores/00000001-00000100.parquet").read_bytes())
    with pytest.raises(UserError, match=r"00000100\.parquet is no file of rnnbench: expected the columns run_id, step"):
        steps(folder)
    part.rename(folder / "metrics/mine.parquet")
    with pytest.raises(UserError, match=r"metrics/mine\.parquet is no file of rnnbench"):
        steps(folder)
    (folder / "metrics/mine.parquet").rename(folder / "metrics/notes.txt")
    assert steps(folder) == [0]


def test_a_job_is_complete_when_all_its_runs_are_done_and_merged(folder):
    train(folder, None, 300)
    unmerged = runs_table(folder)
    assert not is_complete(folder, unmerged)
    done = pa.array(["finished"] * unmerged.num_rows)  # killed before the parts were merged
    assert not is_complete(folder, unmerged.set_column(unmerged.schema.get_field_index("status"), "status", done))
    assert not is_complete(folder, unmerged.slice(0, 0))
    train(folder, 300, 500)
    assert is_complete(folder, runs_table(folder))


@pytest.mark.parametrize(("other", "complete"), [("diverged", True), ("running", False)])
def test_a_diverged_run_is_complete_and_a_running_one_is_not(folder, other, complete):
    with Records(folder, CONFIG) as records:
        records.start_session(0)
        records.finish([row("a", "finished"), row("b", other)])
    assert is_complete(folder, runs_table(folder)) is complete


def test_a_runs_table_that_somebody_else_wrote_is_read_or_named(folder):
    """Bytes are changed under a checksum that matches: nothing fails in another way than by a clear error."""
    train(folder, None, 500)
    content = (folder / "runs.arrow").read_bytes()
    draw, outcomes = np.random.default_rng(0), Counter()
    for _ in range(1000):
        # The schema's message comes first, and a change there matters most.
        changed = bytearray(content)
        for place in draw.integers(len(content) if draw.random() < 0.5 else 1500, size=draw.integers(1, 4)):
            changed[place] = draw.integers(256)
        if draw.random() < 0.2:
            start = draw.integers(len(content))
            del changed[start : start + draw.integers(1, 64)]
        try:
            (folder / "runs.arrow").write_bytes(resealed(bytes(changed)))
        except IndexError:  # so short that there is no place for a checksum
            continue
        try:
            is_complete(folder, runs_table(folder))
            lost(folder)
            load_runs(folder)
            outcomes["read"] += 1
        except UserError as error:
            outcomes["named"] += "runs.arrow" in str(error) or str(folder) in str(error)
    assert min(outcomes["read"], outcomes["named"]) > 100
    assert outcomes.total() > 950


def resealed(content):
    """Returns an Arrow file with the digest of what it holds now."""
    end = len(content) - _after(".arrow", content)
    return sealed_arrow(content[: end - 64] + content[end:])


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"step": pa.array(["100"])}, r"expected int64 in the column 'step', got string"),
        ({"run_id": pa.array([1])}, r"expected string in the column 'run_id', got int64"),
    ],
)
def test_a_column_of_another_type_is_named(folder, change, reason):
    train(folder, None, 500)
    table = runs_table(folder)
    for name, column in change.items():
        table = table.set_column(table.schema.get_field_index(name), name, column)
    (folder / "runs.arrow").write_bytes(as_arrow(table, {"version": "1"}))
    with pytest.raises(UserError, match=rf"runs\.arrow is no file of rnnbench: {reason}"):
        load_runs(folder)


STEPS = {"config.yaml": None, "metrics.parquet": 0, "provenance.json": None, "runs.arrow": 0, "scores.parquet": 0}


@pytest.mark.parametrize("name", STEPS)
@pytest.mark.parametrize("missing", [False, True])
def test_a_finished_job_whose_file_is_damaged_or_missing_is_not_complete(folder, capsys, name, missing):
    train(folder, None, 500)
    runs, path = runs_table(folder), folder / name
    assert lost(folder) == {}
    if missing:
        path.unlink()
    else:
        flip(path, 100)
    assert lost(folder) == {name: STEPS[name]}
    if name != "runs.arrow":  # whose damage keeps it from being read at all
        assert not is_complete(folder, runs)
        assert f"{path} is damaged or missing" in capsys.readouterr().err


def test_a_lost_part_is_known_by_its_first_step(folder):
    train(folder, None, 400)
    (folder / "metrics/00000201-00000300.parquet").unlink()
    flip(folder / "scores/00000101-00000200.parquet", 9)
    assert lost(folder) == {"metrics/00000201-00000300.parquet": 201, "scores/00000101-00000200.parquet": 101}


def test_a_part_that_is_merged_is_not_lost(folder, monkeypatch):
    train(folder, None, 400)
    with Records(folder, CONFIG) as owner:
        monkeypatch.setattr(owner, "set_runs", lambda rows: None)  # killed before
        owner.finish([])
    assert not (folder / "metrics").exists()
    assert lost(folder) == {}


def test_without_its_provenance_a_job_is_read_and_owned_again(folder, capsys):
    train(folder, None, 400)
    for spoil in (Path.unlink, lambda path: flip(path, 80)):
        spoil(folder / "provenance.json")
        assert list(job_folders(folder.parent)) == [folder]
        assert read_runs(folder)[0]["step"] == 400
        with Records(folder, CONFIG):
            assert steps(folder) == [0, 100, 200, 300, 400]
        assert lost(folder) == {}
    said = capsys.readouterr().err
    assert "provenance.json is missing; what the job ran on is not known" in said
    assert "provenance.json is not a provenance file of rnnbench, or it is damaged" in said
