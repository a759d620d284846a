"""`rnnbench report` writes the page where it is told, and says what prevents it."""

import pytest

from rnnbench.commands import report
from rnnbench.commands.report import report_sweep
from rnnbench.errors import UserError
from rnnbench.figures.page import write_report
from rnnbench.probes.finding import drawers
from tests.figures.pages import record


@pytest.fixture
def root(tmp_path):
    """Returns a folder with the records of two cells."""
    for model in ("rnn", "gru"):
        record(tmp_path / "results", model)
    return tmp_path / "results"


def test_the_command_writes_where_it_is_told(root, tmp_path_factory, capsys):
    assert report.main([str(root)]) == 0
    assert capsys.readouterr().err == f"written: {root}/report.html\n"
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "new/page.html"
    report.main([str(root), "--output", str(elsewhere)])
    assert elsewhere.read_bytes() == (root / "report.html").read_bytes()
    assert [path.name for path in elsewhere.parent.iterdir()] == ["page.html"]


def test_a_sweep_writes_its_page_and_does_not_fail_for_it(root, tmp_path, capsys):
    report_sweep(root)
    report_sweep(tmp_path / "nowhere")
    first, second = capsys.readouterr().err.splitlines()
    assert first == f"written: {root}/report.html"
    assert second.startswith("rnnbench: no report: ")


def test_what_prevents_a_page_is_told(tmp_path):
    with pytest.raises(UserError, match="there is no such folder"):
        report.main([str(tmp_path / "nowhere")])
    with pytest.raises(UserError, match="no records"):
        report.main([str(tmp_path)])
    record(tmp_path / "results")
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file/page.html", tmp_path / "results"):
        with pytest.raises(UserError, match=r"cannot write .*; --output chooses another file"):
            write_report(tmp_path / "results", path, drawers())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "results"]
