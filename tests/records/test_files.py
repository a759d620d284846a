"""Files are written completely or not at all."""

import errno

import pytest

from rnnbench.errors import UserError
from rnnbench.records import files


def test_a_file_is_replaced_and_its_folder_made(tmp_path):
    path = tmp_path / "metrics/00000001-00000100.parquet"
    for content in (b"first", b"second"):
        files.replace(path, content)
        assert path.read_bytes() == content
    assert [path] == [*path.parent.iterdir()]


@pytest.mark.parametrize(
    ("call", "code", "advice"),
    [
        ("fsync", errno.ENOSPC, "free some space, then give the same command again"),
        ("fsync", errno.EDQUOT, "free some space, then give the same command again"),
        ("replace", errno.EACCES, "choose another output="),
    ],
)
def test_what_fails_leaves_the_file_as_it_was(tmp_path, monkeypatch, call, code, advice):
    path = tmp_path / "runs.arrow"
    path.write_bytes(b"before")

    def fail(*arguments):
        raise OSError(code, "the reason")

    monkeypatch.setattr(files.os, call, fail)
    with pytest.raises(UserError, match=rf"cannot write {path}: the reason; what was .* kept; {advice}"):
        files.replace(path, b"after")
    assert path.read_bytes() == b"before"
    assert [path] == [*tmp_path.iterdir()]


def test_a_missing_output_folder_is_not_made_again(tmp_path):
    with pytest.raises(UserError, match=r"No such file or directory; .*; --output chooses another file"):
        files.replace(tmp_path / "removed/metrics/00000001-00000100.parquet", b"", "--output chooses another file")


def test_only_what_replace_leaves_after_a_kill_is_temporary(tmp_path, monkeypatch):
    def kill(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(files.os, "replace", kill)
    with pytest.raises(KeyboardInterrupt):
        files.replace(tmp_path / "runs.arrow", b"half")
    [left] = tmp_path.iterdir()
    assert files.is_temporary(left)
    assert not files.is_temporary(tmp_path / "runs.arrow")
    assert not files.is_temporary(tmp_path / ".hidden")
