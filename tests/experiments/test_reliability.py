"""experiments/reliability: a seeded sample of its campaigns finds no fault."""

import importlib
import random
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from tests.helpers import optax_promotion

STUDY = Path(__file__).parents[2] / "experiments" / "reliability"

Campaigns = tuple[ModuleType, ModuleType]


@pytest.fixture
def campaigns(monkeypatch: pytest.MonkeyPatch, tiny: list[str]) -> Iterator[Campaigns]:
    """Yields the modules `damage` and `disk`, in a context in which they train the small job of the tests."""
    monkeypatch.syspath_prepend(STUDY)
    names = ("campaign", "damage", "disk")
    _, damage, disk = map(importlib.import_module, names)
    for module in (damage, disk):
        monkeypatch.setattr(module, "TINY", [*tiny, "train.checkpoint_seconds=0"])
    with optax_promotion():
        yield damage, disk
    for name in names:
        del sys.modules[name]


def test_a_damaged_record_is_read_by_no_one(campaigns: Campaigns, tmp_path: Path) -> None:
    damage, _ = campaigns
    jobs, draw = damage.Jobs(tmp_path), random.Random(0)
    for one in draw.sample([*jobs.damages(1, draw)], 12):
        assert jobs.read_faults(one, damage.Counter()) == [], one


def test_odd_names_of_folders_are_taken_as_they_are(campaigns: Campaigns, tmp_path: Path) -> None:
    _, disk = campaigns
    tried = disk.Campaign(tmp_path)
    for number, name in enumerate(
        ("line\nbreak", "-dash", "a=b 'c'", "*?", "%20 漢字", "n" * 256, "[x]", "back\\slash")
    ):
        tried.name(tmp_path / str(number), name, quoted=True)
    assert tried.faults == []
    assert tried.counts["names"] == {"quoted, trained": 5, "quoted, refused": 3}


def test_a_full_and_a_read_only_disk_lose_nothing(campaigns: Campaigns, tmp_path: Path) -> None:
    _, disk = campaigns
    if not disk.may_mount():
        pytest.skip("this user may not mount a disk")
    tried = disk.Campaign(tmp_path)
    with disk.mounted(tmp_path / "disk") as own:
        tried.lock_up(own)
        for size in (0, 8192, 32768):
            assert not tried.fill_once(own, "nothing", size)
    assert tried.faults == []
    assert tried.counts["full"] == {"ended while writing records": 3}
