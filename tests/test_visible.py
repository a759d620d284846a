"""Text from records is only text wherever it is shown: no escape sequence, line feed or markup in it does anything."""

import warnings
import xml.etree.ElementTree as ET
from pathlib import Path

import pandas as pd
import pytest
from matplotlib.figure import Figure

from rnnbench.commands import cli, show
from rnnbench.figures import save
from rnnbench.figures.style import plain
from rnnbench.training.progress import JobProgress, say
from rnnbench.visible import visible
from tests.helpers import record_job, run_row

EVIL = "a\x1b]0;owned\x07\x1b[2J\n# b | <svg onload=alert(1)>\u202e`c` ![d](e) &lt; [red]f\x9b31m$x"
SHOWN = r"\x1b]0;owned\x07\x1b[2J\n# b"
FORBIDDEN = ("\x1b", "\x07", "\x9b", "\u202e")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Returns a folder of runs whose names, sentences and words are as bad as can be."""
    for seed in range(2):
        names = {"run_id": f"{EVIL}{seed}", "task.name": EVIL, "model.name": EVIL, "task.note": f"{EVIL}{seed}"}
        rows = [
            run_row("x", seed, 0.5, **names),
            run_row("x", seed, 0.5, status="diverged", **names | {"run_id": EVIL}),
        ]
        tables = {
            "metrics": {"value": 0.5},
            "scores": {"by": EVIL, "low": 1, "high": 2, "value": 0.5},
            "showcase": {"prompt": f"I {EVIL}", "continuation": EVIL, "probability": 0.5, "correct": True},
        }
        record_job(tmp_path / "results" / f"job{seed}", rows, {40: tables}, finish=True)
    return tmp_path / "results"


@pytest.mark.parametrize("command", ["show", "compare", "status"])
def test_a_terminal_shows_it(
    root: Path, command: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(show, "_write_figures", lambda *_: None)
    assert cli.main([command, str(root)]) == 0
    printed = capsys.readouterr()
    for text in printed:
        assert not any(character in text for character in FORBIDDEN)
    assert r"\x1b]0;owned" in printed.out
    assert "[red]f" in "".join(printed.out.split()), "it is no markup of rich's"
    assert not any(line.strip().startswith("# b") for line in printed.out.splitlines())


def test_markdown_and_csv_show_it(root: Path) -> None:
    assert cli.main(["compare", str(root)]) == 0
    text = (root / "comparison.md").read_text()
    assert not any(character in text for character in FORBIDDEN)
    assert r"\\x1b\]0;owned\\x07\\x1b\[2J\\n# b \| &lt;svg onload=alert(1)&gt;\\u202e\`c\` !\[d\](e) &amp;lt;" in text
    assert "<svg" not in text
    assert not any(line.startswith("# b") for line in text.splitlines())
    tables = [line for line in text.splitlines() if line.startswith("|")]
    assert {line.replace(r"\|", "").count("|") for line in tables} == {10}, "every row has its nine cells"
    table = pd.read_csv(root / "comparison.csv")
    assert SHOWN in table["panel"].iloc[0]
    assert (root / "comparison.csv").read_text().count("\n") == len(table) + 1


def test_the_page_shows_it(root: Path) -> None:
    assert cli.main(["report", str(root)]) == 0
    page = (root / "report.html").read_text()
    own = page[: page.index("plotly.js v")] if "plotly.js v" in page else page
    assert "<svg onload" not in page
    assert not any(character in own for character in FORBIDDEN)
    assert "&lt;svg onload=alert(1)&gt;" in page


def test_no_figure_is_written_outside_its_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tables = {"scores": {"by": f"/../../out{EVIL}", "low": 1, "high": 2, "value": 0.5}}
    record_job(tmp_path / "results/job", [run_row("../../x", 0, 0.5)], {40: tables}, finish=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # long names leave no room for the axes
        assert cli.main(["show", str(tmp_path / "results")]) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["results"]
    [svg] = tmp_path.glob("results/figures/score_by_*out*.svg")
    assert svg.name.isprintable()
    assert not [element for element in ET.parse(svg).iter() if "onload" in element.attrib]


def test_a_figure_shows_it(tmp_path: Path) -> None:
    figure = Figure()
    figure.subplots().set_title(plain(EVIL))
    _, path = save(figure, tmp_path / "figure")
    assert not any(character in path.read_text() for character in FORBIDDEN)
    assert not [element for element in ET.parse(path).iter() if "onload" in element.attrib]


def test_progress_and_errors_show_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with JobProgress(EVIL, 2, 0) as progress:
        progress.close(2, "finished", {EVIL: 0.5})
    say(EVIL)
    assert cli.main(["show", str(tmp_path / f"no{EVIL}")]) == 2
    said = capsys.readouterr().err
    assert not any(character in said for character in FORBIDDEN)
    assert said.count(r"\x1b]0;owned") == 4


def test_usual_text_stays() -> None:
    text = "naïve café, 漢字, Straße \\ 100 %, عربي, 👩‍🔬"
    assert visible(text) == text
    assert visible("a\r\n\tb\x85\u2028", keep="\n") == "a\\r\n\\tb\\x85\\u2028"
