from pathlib import Path

import pytest


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Returns the path of a job folder that does not exist yet."""
    return tmp_path / "out" / "copy-gru-1"
