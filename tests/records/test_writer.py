"""A job has one owner and whole files; a kill loses and duplicates nothing; and messages are clear."""

import errno
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from rnnbench.errors import BusyError, UserError
from rnnbench.records import files, writer
from rnnbench.records.folders import is_held
from rnnbench.records.reader import lost, read_runs, read_table
from rnnbench.records.writer import Records
from tests.helpers import row, tables_of
from tests.records.jobs import CONFIG, contents, metrics, steps, train


def test_what_is_written_is_read_back_while_training_and_after(folder):
    with Records(folder, CONFIG) as owner:
        owner.start_session(0, devices=["cpu"])
        for step in (0, 100, 200):
            owner.write(step, tables_of({"metrics": metrics(step, ("a", "b"))}))
            owner.set_runs([row("a", step=step), row("b", step=step)])
        running = read_table(folder, "metrics")
        assert running["step"].to_pylist() == [0, 0, 100, 100, 200, 200]
        owner.finish([row("a", "finished", 200), row("b", "diverged", 200, diverged_at=100)])
    assert read_table(folder, "metrics") == running
    assert sorted(path.name for path in folder.iterdir()) == [
        "config.yaml", "lock", "metrics.parquet", "provenance.json", "runs.arrow",
    ]  # fmt: skip
    assert [(run["status"], run["diverged_at"]) for run in read_runs(folder)] == [("finished", None), ("diverged", 100)]
    assert "clip_norm: null" in (folder / "config.yaml").read_text()
    session = json.loads((folder / "provenance.json").read_text())["sessions"][0]
    assert (session["from_step"], session["to_step"], session["devices"]) == (0, 200, ["cpu"])
    assert "numpy" in session["packages"]


def test_columns_may_be_arrays_lists_or_scalars(folder):
    flow = {"run_id": "r", "step": 0, "layer": 0, "state": "h", "time": np.arange(3, dtype=np.int32)}
    flow["norm"] = np.array([0, 1e-30, np.nan], np.float32)
    flow |= dict.fromkeys(("q10", "q50", "q90"), 0.5)
    with Records(folder, CONFIG) as owner:
        owner.write(0, tables_of({"gradient_flow": flow}))
        first = (folder / "gradient_flow/00000000-00000000.parquet").read_bytes()
        owner.rewind(None, [row()])
        owner.write(
            0,
            tables_of({"gradient_flow": {**flow, "step": [0, 0, 0], "time": [0, 1, 2], "norm": flow["norm"].tolist()}}),
        )
        assert (folder / "gradient_flow/00000000-00000000.parquet").read_bytes() == first
        owner.write(1, tables_of({"gradient_flow": {**flow, "time": [], "norm": []}}))
        with pytest.raises(ValueError, match="expected the columns"):
            owner.write(1, tables_of({"gradient_flow": {"norm": [1.0]}}))
    table = read_table(folder, "gradient_flow")
    assert table.schema.names[:2] == ["run_id", "step"]
    assert table["norm"].to_pylist()[:2] == [0, pytest.approx(1e-30)]
    assert np.isnan(table["norm"].to_pylist()[2])


def test_runs_keep_the_types_of_their_columns(folder):
    mixed = [row(a=1, b=1, c=1, d=True, e=np.float32(0.5), f=None), row(a=2, b=0.5, c="two", e=np.float32(1), f=None)]
    with Records(folder, CONFIG) as owner:
        owner.set_runs(mixed)
    first, second = read_runs(folder)
    assert [first[key] for key in "abcdef"] == [1, 1.0, "1", True, 0.5, None]
    assert [second[key] for key in "abcdef"] == [2, 0.5, "two", None, 1.0, None]
    assert isinstance(first["a"], int)
    with Records(folder, CONFIG) as owner, pytest.raises(ValueError, match="'status'"):
        owner.set_runs([{"run_id": "r"}])


@pytest.mark.parametrize(("stop", "restored"), [(0, None), (0, 0), (300, 100), (300, 300), (500, 400), (500, None)])
def test_a_resumed_job_leaves_the_bytes_of_an_uninterrupted_one(tmp_path, stop, restored):
    train(tmp_path / "uninterrupted", None, 500)
    train(tmp_path / "resumed", None, stop)
    train(tmp_path / "resumed", restored, 500)
    assert contents(tmp_path / "resumed") == contents(tmp_path / "uninterrupted")
    assert len(json.loads((tmp_path / "resumed/provenance.json").read_text())["sessions"]) == 2


def test_rewinding_drops_only_what_comes_later(folder):
    train(folder, None, 300)
    with Records(folder, CONFIG) as owner:
        owner.rewind(200, [row(step=200)])
        assert steps(folder) == [0, 100, 200]
        owner.rewind(None, [row()])
        assert steps(folder) == []


def test_a_finished_table_becomes_a_part_from_the_first_step_on(folder):
    train(folder, None, 500)
    with Records(folder, CONFIG) as owner:
        owner.rewind(300, [row(step=300)])
    assert [path.name for path in (folder / "metrics").glob("*.parquet")] == ["00000000-00000300.parquet"]


SHOWN = {"run_id": "r", "step": 300, "prompt": "I", "continuation": ["do", "did"], "probability": 0.5}


@pytest.mark.parametrize("step", [300, 200])
def test_what_was_recorded_at_the_end_goes_when_training_goes_on(folder, step):
    train(folder, None, 300)
    at_end = tables_of({"metrics": {**metrics(300), "split": "probe"}, "showcase": {**SHOWN, "correct": [True, False]}})
    with Records(folder, CONFIG) as owner:
        owner.finish([row("r", "finished", 300)], at_end)
    assert (steps(folder), read_table(folder, "showcase").num_rows) == ([0, 100, 200, 300, 300], 2)
    with Records(folder, CONFIG) as owner:
        owner.rewind(step, [row(step=step)])
        assert steps(folder) == [*range(0, step + 1, 100)]
        assert "probe" not in read_table(folder, "metrics")["split"].to_pylist()
        assert read_table(folder, "showcase").num_rows == 0
        assert lost(folder) == {}


def test_the_configuration_is_that_of_the_training_and_not_of_who_looks(folder):
    train(folder, None, 100)
    other = {"model": {"name": "lstm"}}
    with Records(folder, other) as owner:
        assert "gru" in (folder / "config.yaml").read_text()
        owner.rewind(100, [row(step=100)])
        assert "lstm" in (folder / "config.yaml").read_text()


def test_a_kill_between_merging_and_deleting_the_parts_doubles_no_row(folder):
    train(folder, None, 300)
    parts = contents(folder)
    with Records(folder, CONFIG) as owner:
        owner.finish([row("r", "running", 300)])
    for name, content in parts.items():  # restore the parts that were deleted
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(content)
    assert steps(folder) == [0, 100, 200, 300]
    with Records(folder, CONFIG) as owner:
        assert not (folder / "metrics").exists()
        owner.rewind(200, [row(step=200)])
        assert steps(folder) == [0, 100, 200]


def test_the_next_owner_alone_removes_temporary_files(folder):
    train(folder, None, 100)
    left = [folder / ".runs.arrow.tmp", folder / "metrics/.00000101-00000200.parquet.tmp"]
    for path in left:
        path.write_bytes(b"half a file")
    assert steps(folder) == [0, 100]
    read_runs(folder)
    assert all(path.exists() for path in left)
    with Records(folder, CONFIG):
        assert not any(path.exists() for path in left)


WRITER = """
import sys
from rnnbench.records.schemas import SCHEMAS, make_table
from rnnbench.records.writer import Records
with Records(sys.argv[1], {}) as owner:
    step = 0
    while True:
        columns = {"run_id": list("abcdef"), "step": step, "split": "test", "metric": "accuracy", "value": float(step)}
        owner.write(step, {"metrics": make_table(SCHEMAS["metrics"], [columns])})
        runs = [{"run_id": name, "status": "running", "step": step, "solved_at": None, "diverged_at": None,
                 "score": "accuracy", "score_goal": "max"} for name in "abcdef"]
        owner.set_runs(runs)
        if step == 0:
            print("recording", flush=True)
        if step % 700 == 600:
            owner.finish(runs)
            owner.rewind(step, runs)
        step += 100
"""


def endless(folder):
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(folder)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    assert process.stdout.readline() == "recording\n"
    return process


def test_a_killed_process_leaves_a_readable_folder_and_a_free_lock(folder):
    for pause in (0.0, 0.011, 0.027, 0.053, 0.081):
        with endless(folder) as process:
            time.sleep(pause)
            process.send_signal(signal.SIGKILL)
        assert not is_held(folder)
        found = steps(folder)
        assert found, "the process recorded step 0 before it said so"
        assert found == [step for step in range(0, len(found) // 6 * 100, 100) for _ in range(6)]
        runs = read_runs(folder)
        assert [run["run_id"] for run in runs] == list("abcdef")
        assert all(run["step"] <= max(found) for run in runs)
        with Records(folder, CONFIG) as owner:
            owner.rewind(None, [row()])


def test_a_second_owner_is_told_who_holds_the_folder(folder):
    with endless(folder) as process:
        try:
            with pytest.raises(BusyError, match=rf"{folder} is being trained by process {process.pid} on \w+.*"):
                Records(folder, CONFIG)
        finally:
            process.kill()
    assert (folder / "holder").exists()  # left by the killed process; the next owner takes it over
    with Records(folder, CONFIG):
        for _ in range(2):
            with pytest.raises(BusyError, match=f"process {os.getpid()} on") as caught:
                Records(folder, CONFIG, overwrite=True)
            assert caught.value.folder == str(folder)
        (folder / "holder").unlink()
        with pytest.raises(BusyError, match="is being trained by another process; wait"):
            Records(folder, CONFIG)


def test_overwrite_starts_anew(folder):
    train(folder, None, 500)
    (folder / "checkpoints/100").mkdir(parents=True)
    with Records(folder, CONFIG, overwrite=True):
        assert sorted(path.name for path in folder.iterdir()) == ["config.yaml", "holder", "lock", "provenance.json"]
        assert read_runs(folder) == []


def test_a_kill_while_clearing_leaves_an_unfinished_job(folder, monkeypatch):
    train(folder, None, 500)
    monkeypatch.setattr(writer.shutil, "rmtree", lambda path: (_ for _ in ()).throw(KeyboardInterrupt))
    (folder / "checkpoints").mkdir()
    with pytest.raises(KeyboardInterrupt):
        Records(folder, CONFIG, overwrite=True)
    assert read_runs(folder) == []
    monkeypatch.undo()
    with Records(folder, CONFIG):
        pass


@pytest.mark.parametrize("overwrite", [False, True])
def test_files_of_others_are_never_touched(folder, overwrite):
    folder.mkdir(parents=True)
    (folder / "thesis.tex").write_text("years of work")
    with pytest.raises(UserError, match=r"copy-gru-1 holds files that rnnbench did not write \(thesis\.tex"):
        Records(folder, CONFIG, overwrite=overwrite)
    assert (folder / "thesis.tex").read_text() == "years of work"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"format": "rnnbench", "version": 99}', "holds records of format version 99; this rnnbench knows version 1"),
        ('{"format": "other"}', "is not a provenance file of rnnbench"),
        ("not json", "is not a provenance file of rnnbench"),
        ("[1]", "is not a provenance file of rnnbench"),
    ],
)
def test_another_format_is_refused_by_owner_and_reader(folder, text, message):
    folder.mkdir(parents=True)
    (folder / "provenance.json").write_text(text)
    for use in (lambda: Records(folder, CONFIG), lambda: Records(folder, CONFIG, overwrite=True)):
        with pytest.raises(UserError, match=message):
            use()
    with pytest.raises(UserError, match=message):
        read_runs(folder)
    assert (folder / "provenance.json").read_text() == text


def test_an_output_that_is_a_file_or_read_only_is_named(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"cannot write .*file/copy: Not a directory.*choose another output="):
        Records(tmp_path / "file" / "copy", CONFIG)
    with pytest.raises(UserError, match=r"expected a folder for copy, got the file .*/file; choose another output="):
        read_runs(tmp_path / "file" / "copy")

    def refuse(*arguments, **options):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(files.os, "replace", refuse)
    with pytest.raises(UserError, match=r"cannot write .*provenance\.json: Permission denied"):
        Records(tmp_path / "copy", CONFIG)
    monkeypatch.undo()
    with Records(tmp_path / "copy", CONFIG):  # the failure released the lock
        pass


def test_a_full_disk_loses_nothing_that_was_recorded(folder, monkeypatch):
    with Records(folder, CONFIG) as owner:
        owner.write(100, tables_of({"metrics": metrics(100)}))
        owner.set_runs([row(step=100)])
        before = contents(folder)

        def full(descriptor):
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(files.os, "fsync", full)
        for write in (
            lambda: owner.write(200, tables_of({"metrics": metrics(200)})),
            lambda: owner.set_runs([row(step=200)]),
        ):
            with pytest.raises(UserError, match=r"No space left on device; what was .* kept; free some space"):
                write()
        assert contents(folder) == before  # no partial file remains to fill the disk
        monkeypatch.undo()
        owner.write(200, tables_of({"metrics": metrics(200)}))
    assert steps(folder) == [100, 200]


def test_a_closed_owner_writes_no_more(folder):
    with Records(folder, CONFIG) as owner:
        pass
    with pytest.raises(ValueError, match="was closed"):
        owner.write(100, tables_of({"metrics": metrics(100)}))
