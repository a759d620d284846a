"""The name of a job folder, and whether a process holds it."""

import os
import threading
import time
from pathlib import Path

import pytest
from filelock import FileLock

from rnnbench.errors import UserError
from rnnbench.records.folders import is_held, job_folder, job_folders
from rnnbench.records.writer import Records
from tests.records.jobs import CONFIG


def test_job_folder_is_named_by_task_model_and_id():
    assert job_folder("out", "copy", "gru", ["abc"]) == Path("out/copy-gru-abc")
    several = job_folder("out", "copy", "gru", ["abc", "def"])
    assert several != job_folder("out", "copy", "gru", ["def", "abc"])
    assert several == job_folder("out", "copy", "gru", ["abc", "def"])


@pytest.mark.parametrize("name", ["nowhere", "\ud800", "a\0b"])
def test_a_folder_that_is_not_there_is_named(tmp_path, name):
    with pytest.raises(UserError, match="there is no such folder; expected one that rnnbench wrote"):
        list(job_folders(tmp_path / name))


def test_a_folder_is_held_from_construction_until_close(folder):
    with Records(folder, CONFIG):
        assert is_held(folder)
        assert (folder / "holder").read_text().startswith(f"process {os.getpid()} on ")
    assert not is_held(folder)
    assert not (folder / "holder").exists()


def test_looking_makes_no_file(tmp_path):
    assert not is_held(tmp_path)
    assert not is_held(tmp_path / "nowhere")
    assert list(tmp_path.iterdir()) == []


def test_in_a_folder_that_may_only_be_read_the_trainers_note_tells(folder, monkeypatch):
    def refuse(*arguments, **options):
        raise PermissionError(13, "Permission denied")

    owner = Records(folder, CONFIG)
    monkeypatch.setattr(FileLock, "acquire", refuse)
    assert is_held(folder)
    owner.close()
    assert not is_held(folder)


def test_looking_takes_no_lock_where_no_trainer_is_noted(folder, monkeypatch):
    Records(folder, CONFIG).close()
    monkeypatch.setattr(FileLock, "acquire", lambda *arguments, **options: pytest.fail("took the lock"))
    assert not is_held(folder)


def test_looking_does_not_keep_a_trainer_from_starting(folder):
    """A killed trainer left its note, so `is_held` tries the lock."""
    Records(folder, CONFIG).close()
    note, done, looks = folder / "holder", threading.Event(), []

    def look():
        while not done.is_set():
            looks.append(is_held(folder))
            time.sleep(0.001)

    looker = threading.Thread(target=look)
    note.write_text("process 1 on a machine")
    looker.start()
    try:
        for _ in range(20):
            Records(folder, CONFIG).close()
            note.write_text("process 1 on a machine")
    finally:
        done.set()
        looker.join()
    assert looks
