"""Names are shown as they are, and the same tables give the same bytes in any style."""

import re

import matplotlib as mpl
import pytest

from rnnbench import figures as plots
from rnnbench.errors import UserError


def test_names_with_dollar_signs_are_shown_as_they_are(scores, runs, tmp_path):
    runs["model.name"] = "$x_y$ and $ _z"
    figure = plots.scores_by(scores, runs)
    plots.save(figure, tmp_path / "dollars")
    shown = figure.legends[0].get_texts()[0]
    assert shown.get_text().replace(r"\$", "$") == "$x_y$ and $ _z"
    assert shown._preprocess_math(shown.get_text()) == ("$x_y$ and $ _z", False)


def test_figures_are_written_with_the_same_bytes_whatever_the_callers_style(scores, runs, tmp_path):
    before = dict(mpl.rcParams)
    paths = plots.save(plots.scores_by(scores, runs), tmp_path / "new/first")
    assert [path.name for path in paths] == ["first.png", "first.svg"]
    with mpl.rc_context({"font.size": 30, "axes.grid": True, "savefig.dpi": 20, "text.color": "red"}):
        again = plots.save(plots.scores_by(scores.sample(frac=1, random_state=0), runs), tmp_path / "second")
    for path, other in zip(paths, again, strict=True):
        assert path.read_bytes() == other.read_bytes()
    assert paths[0].read_bytes().startswith(b"\x89PNG")
    assert not re.search(rb"<dc:date>", paths[1].read_bytes())
    assert dict(mpl.rcParams) == before
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"cannot write the figure .*file/first"):
        plots.save(plots.scores_by(scores, runs), tmp_path / "file/first")
