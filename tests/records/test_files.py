"""Files are written completely or not at all."""

import errno
import itertools

import pyarrow as pa
import pytest

from rnnbench.errors import DamagedError, UserError
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


@pytest.mark.parametrize("cuts", [(), (1,), (5, 10, 20), (0, 4, 8), (10, 10, 22)])
def test_rows_give_the_same_groups_whichever_tables_they_come_in(tmp_path, monkeypatch, cuts):
    monkeypatch.setattr(files, "ROWS", 5)
    table = pa.table({"run_id": [f"run {i % 3}" for i in range(22)], "step": range(22)})
    edges = [0, *cuts, 22]
    content = files.as_parquet(table.slice(a, b - a) for a, b in itertools.pairwise(edges))
    assert content == files.as_parquet([table])
    path = tmp_path / "metrics.parquet"
    path.write_bytes(content)
    assert files.read_file(path) == table
    groups = [*files.read_groups(path)]
    assert [group.num_rows for group in groups] == [5, 5, 5, 5, 2]
    assert pa.concat_tables(groups) == table


def test_a_table_without_rows_keeps_its_columns(tmp_path):
    path = tmp_path / "metrics.parquet"
    path.write_bytes(files.as_parquet([pa.table({"step": pa.array([], pa.int64())})] * 2))
    [group] = files.read_groups(path)
    assert group.num_rows == 0
    assert group.schema == files.read_file(path).schema == pa.schema({"step": pa.int64()})


def test_groups_are_read_with_the_same_errors_as_a_whole_file(tmp_path):
    path, schema = tmp_path / "metrics.parquet", pa.schema({"step": pa.int64()})
    path.write_bytes(files.as_parquet([pa.table({"other": [1]})]))
    with pytest.raises(DamagedError, match="expected the columns step; it has other"):
        next(files.read_groups(path, schema))
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(DamagedError, match="does not match its checksum"):
        next(files.read_groups(path, schema))


def test_merging_a_long_table_takes_no_more_memory_than_some_groups(monkeypatch):
    """The tables come one by one, so that what is held of them is what the merge itself holds."""
    monkeypatch.setattr(files, "ROWS", 1000)
    pool = pa.default_memory_pool()
    before, held = pool.bytes_allocated(), []

    def tables():
        for i in range(3000):
            held.append(pool.bytes_allocated() - before)
            yield pa.table({"step": pa.array(range(i * 100, i * 100 + 100), pa.int64())})

    files.as_parquet(tables())
    assert max(held) < 300_000 * 8 / 10  # a tenth of all rows
