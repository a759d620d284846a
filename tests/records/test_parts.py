"""Parts of a table are merged on the way: a long run has few files, and no kill loses or doubles a row."""

import itertools
import math
import os
from pathlib import Path

import pytest

from rnnbench.errors import DamagedError
from rnnbench.records import parts
from rnnbench.records.parts import FAN, Part, parts_of, to_merge
from rnnbench.records.reader import lost, read_table
from rnnbench.records.writer import Records
from tests.helpers import row, tables_of
from tests.records.jobs import CONFIG, contents, flip, metrics, steps

EVERY = 10
"""Training steps in a segment."""


def record(folder: Path, start: int | None, stop: int, end: int | None = None) -> None:
    """Writes segments from the one after `start` up to `stop`, and finishes the job if that is the `end`."""
    with Records(folder, CONFIG) as owner:
        owner.rewind(start, [row(step=start or 0)])
        for step in range(0 if start is None else start + EVERY, stop + 1, EVERY):
            owner.write(step, tables_of({"metrics": metrics(step)}))
            owner.set_runs([row(step=step)])
        if stop == end:
            owner.finish([row("r", "finished", end)])


def upto(step: int) -> list[int]:
    return [*range(0, step + 1, EVERY)]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "metrics").iterdir())


@pytest.mark.parametrize("cut", [None, 7 * EVERY, 2500 * EVERY, 4999 * EVERY])
def test_the_number_of_parts_grows_with_the_logarithm_of_the_segments(cut: int | None) -> None:
    """Also if training resumed, and cut a large part, on the way."""
    found: list[Part] = []
    written = 0
    for step in itertools.chain(range(0, 5000 * EVERY, EVERY), range((cut or 0) + EVERY, 20_000 * EVERY, EVERY)):
        if cut is not None and step == cut + EVERY and found[-1].last > step:
            found = [part._replace(last=min(part.last, cut)) for part in found if part.first <= cut]
        elif cut is None and found and step <= found[-1].last:
            continue
        found.append(Part("metrics", found[-1].last + 1 if found else 0, step))
        written += 1
        while due := to_merge(found):
            found[-len(due) :] = [Part("metrics", due[0].first, due[-1].last)]
            written += sum(part.size for part in due) / EVERY
        assert len(found) <= FAN * math.ceil(math.log(step / EVERY + 2, FAN))
    assert written < 25_000 * 5, "each row is written again a few times"
    assert [part.first for part in found[1:]] == [part.last + 1 for part in found[:-1]]


def test_a_merged_table_is_read_and_finished_as_if_it_had_never_been_merged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop = 300 * EVERY
    record(tmp_path / "merged", None, stop)
    assert names(tmp_path / "merged")[:2] == ["00000000-00002550.parquet", "00002551-00002710.parquet"]
    assert len(names(tmp_path / "merged")) < 2 * FAN
    assert steps(tmp_path / "merged") == upto(stop)
    record(tmp_path / "merged", stop, stop, stop)
    monkeypatch.setattr(parts, "FAN", 10**9)
    record(tmp_path / "whole", None, stop, stop)
    assert contents(tmp_path / "merged") == contents(tmp_path / "whole")


@pytest.mark.parametrize("segment", [0, 14, 15, 16, 20, 31, 35])
def test_rewinding_cuts_a_merged_part(tmp_path: Path, segment: int) -> None:
    step, end = segment * EVERY, 40 * EVERY
    record(tmp_path / "undisturbed", None, end, end)
    record(tmp_path / "resumed", None, 37 * EVERY)
    with Records(tmp_path / "resumed", CONFIG) as owner:
        owner.rewind(step, [row(step=step)])
        assert steps(tmp_path / "resumed") == upto(step)
        assert lost(tmp_path / "resumed") == {}
    record(tmp_path / "resumed", step, end, end)
    assert contents(tmp_path / "resumed") == contents(tmp_path / "undisturbed")


class Killed(BaseException):
    pass


def kill_at(call: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Kills the process in place of a change to the disk, or right after it."""
    left = itertools.count(call, -1)
    for owner, name in ((os, "replace"), (Path, "unlink")):
        original = getattr(owner, name)

        def change(*arguments: object, original: object = original, **options: object) -> None:
            number = next(left)
            if number == 1:
                raise Killed
            original(*arguments, **options)  # type: ignore[operator]
            if number == 0:
                raise Killed

        monkeypatch.setattr(owner, name, change)


def test_a_kill_at_any_point_of_a_merge_loses_and_doubles_no_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The 16th segment merges the last four parts, then the four merged ones. The job resumes inside of these."""
    monkeypatch.setattr(parts, "FAN", 4)
    last, end = 15 * EVERY, 17 * EVERY
    record(tmp_path / "undisturbed", None, end, end)
    record(tmp_path / "before", None, last - EVERY)
    kills = 0
    for call in itertools.count():
        folder = tmp_path / f"killed{call}"
        folder.mkdir()
        for path in (tmp_path / "before").rglob("*.*"):
            (folder / path.relative_to(tmp_path / "before")).parent.mkdir(exist_ok=True)
            (folder / path.relative_to(tmp_path / "before")).write_bytes(path.read_bytes())
        owner = Records(folder, CONFIG)
        with monkeypatch.context() as patch:
            kill_at(call, patch)
            try:
                owner.write(last, tables_of({"metrics": metrics(last)}))
            except Killed:
                kills += 1
            else:
                break
        owner.close()
        found = steps(folder)
        assert found in (upto(last - EVERY), upto(last))
        assert lost(folder) == {}
        with Records(folder, CONFIG):
            assert steps(folder) == found
        record(folder, 10 * EVERY, end, end)
        assert contents(folder) == contents(tmp_path / "undisturbed")
    assert kills > 10, "it was killed at each file that was written or deleted"
    assert names(folder) == ["00000000-00000150.parquet"]


def test_a_merged_part_that_is_damaged_is_known_by_its_first_step(tmp_path: Path) -> None:
    record(tmp_path, None, 40 * EVERY)
    large = "metrics/00000151-00000310.parquet"
    flip(tmp_path / large, 99)
    assert lost(tmp_path) == {large: 151}
    with pytest.raises(DamagedError, match=large):
        steps(tmp_path)
    with Records(tmp_path, CONFIG) as owner:
        owner.rewind(150, [row(step=150)])
    assert (steps(tmp_path), lost(tmp_path)) == (upto(150), {})


def test_a_part_that_disappears_while_its_job_trains_is_named(tmp_path: Path) -> None:
    record(tmp_path, None, 10 * EVERY)
    part = tmp_path / "metrics/00000011-00000020.parquet"
    with Records(tmp_path, CONFIG) as owner:
        part.unlink()
        with pytest.raises(DamagedError, match=rf"{part} is missing; give the command that wrote it again"):
            owner.finish([row("r", "finished", 100)])


def test_a_part_in_another_is_left_out(tmp_path: Path) -> None:
    record(tmp_path, None, 40 * EVERY)
    before, table = parts_of(tmp_path, "metrics"), read_table(tmp_path, "metrics")
    (tmp_path / "metrics/00000151-00000160.parquet").write_bytes(b"deleted by a merge, but for a kill")
    assert parts_of(tmp_path, "metrics") == before
    assert read_table(tmp_path, "metrics") == table
    Records(tmp_path, CONFIG).close()
    assert names(tmp_path) == [Path(part.name).name for part in before]
