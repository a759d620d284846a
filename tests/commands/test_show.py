"""`rnnbench show` prints what it has, whether the records are complete or not."""

import os
import pty
import re

import pytest

from rnnbench.commands import show
from rnnbench.errors import UserError
from rnnbench.probes.finding import drawers
from tests.helpers import record_job, run_row

PROMPT = "last year , I"


def record(root, model, seed, results, status="finished", score="accuracy", prob=0.75, with_showcase=True, **more):
    """Records a run with these scores in the bins 1-2 and 3-4. Its result is their mean."""
    result = sum(results) / 2
    more = {"run_id": f"{score}{model}{seed}", "solved_at": 20 if result > 0.9 else None, **more}
    if score == "mse":
        more = {"score_goal": "min", "task.name": "adding", **more}
    run = run_row(model, seed, result, status, score, **more)
    tables = {
        "scores": {"metric": score, "by": ["distance"] * 2 + ["attractors"], "low": [1, 3, 0], "high": [2, 4, 0],
                   "value": [*results, result]},
        "metrics": {"step": [0, 40], "metric": score, "value": [0.25, result]},
        "gradient_flow": {"step": [0, 0, 40, 40], "time": [0, 1, 0, 1], "norm": [0.5, 1, 0.1, 1]},
        "gate_traces": {"time": [0, 1], "word": ["last", "year"], "gate": "forget", "unit": 0, "value": 0.5},
    }  # fmt: skip
    if with_showcase:
        tables["showcase"] = {"prompt": PROMPT, "continuation": ["need", "had"], "probability": [1 - prob, prob]}
    record_job(root / run["run_id"], [run], {40: tables})


@pytest.fixture
def real_files():
    """Requested by tests that check the figures' files."""


@pytest.fixture(autouse=True)
def quick(request, monkeypatch):
    """Draws the figures, but only writes them if a test checks the files, because writing takes seconds."""
    if "real_files" not in request.fixturenames:
        monkeypatch.setattr(show.drawn, "save", lambda figure, stem: [stem.with_suffix(".png")])


@pytest.fixture
def root(tmp_path):
    """Returns a folder of runs with the medians 0.60 and 0.50 (RNN), and 1.00 and 0.90 (GRU)."""
    for seed, (results, prob) in enumerate([((0.5, 0.4), 0.2), ((0.6, 0.5), 0.4), ((0.9, 0.6), 0.6)]):
        record(tmp_path, "rnn", seed, results, prob=prob)
    for seed, results in enumerate([(0.97, 0.9), (1.0, 0.8), (1.0, 0.98)]):
        record(tmp_path, "gru", seed, results, prob=0.99)
    return tmp_path


def printed(capsys, *argv):
    assert show.main([str(argument) for argument in argv]) == 0
    return capsys.readouterr().out


def cells(text, start):
    """Returns the cells of the first table row that starts with `start`."""
    (line, *_) = [line for line in text.splitlines() if line.startswith(start)]
    return re.split(r"\s{2,}", line.strip())


def test_the_table_holds_medians_ranges_chance_and_seeds(root, capsys):
    text = printed(capsys, root)
    assert "Copy memory: accuracy in %, by distance from the cue to the answer" in text
    assert re.search(r"1-2 +3-4 +all +seeds +solved", text)
    assert cells(text, "RNN") == ["RNN", "60", "50", "55", "3", "0"]
    assert cells(text, "GRU") == ["GRU", "100", "90", "94", "3", "2"]
    below = text.splitlines()[
        text.splitlines().index(next(line for line in text.splitlines() if line[:3] == "RNN")) + 1
    ]
    assert below.split() == ["50..90", "40..60", "45..75"]
    assert cells(text, "chance") == ["chance", "25", "25", "25"]
    assert text.index("RNN") < text.index("GRU")
    other = text[text.index("Copy memory: accuracy in %, by attractors") :]
    assert cells(other, "RNN") == ["RNN", "55", "55", "3", "0"]
    assert cells(other, "chance") == ["chance", "25", "25"]
    assert text.count("median of the finished seeds") == 1


def test_completions_show_the_median_probability_and_the_seeds_that_are_right(root, capsys):
    text = printed(capsys, root)
    part = text[text.index('"Last year, I ___"') :]
    assert re.search(r"need +had \(right\) +seeds right", part)
    assert cells(part, "RNN") == ["RNN", "60%", "40%", "1 of 3"]
    assert cells(part, "GRU") == ["GRU", "1%", "99%", "3 of 3"]


def test_every_figure_is_drawn_from_its_table_and_all_runs(root, monkeypatch):
    """All figures get all runs, so that a cell looks the same everywhere. Each cell's gates have their own figure."""
    asked = {}

    def draw(name):
        def draw(table, runs, by=None):
            asked.setdefault(name, []).append((table, len(runs), by))
            raise UserError("not today")

        return draw

    of_probes = {figure.__name__ for figures in drawers().values() for figure in figures}
    one_run = draw("gate_traces")
    monkeypatch.setattr(
        show, "drawers", lambda names: {"gate_traces": [lambda table, runs, run_id=None: one_run(table, runs)]}
    )
    for name in ("scores_by", "learning_curves", "half_life"):
        monkeypatch.setattr(show.drawn, name, draw(name))
    show.main([str(root)])
    assert {len_of_runs for calls in asked.values() for _, len_of_runs, _ in calls} == {6}
    assert [set(table["run_id"].str[:-1]) for table, _, _ in asked["gate_traces"]] == [{"accuracygru"}, {"accuracyrnn"}]
    assert [by for _, _, by in asked["scores_by"]] == ["distance", "attractors"]
    every = {name for name in show.drawn.__all__ if name[0].islower()} - {"save", "score_by_value"}
    assert every == {"scores_by", "learning_curves", "half_life"} | of_probes


@pytest.mark.usefixtures("real_files")
def test_figures_are_written_and_named(root, capsys):
    text = printed(capsys, root, "--figures", root / "elsewhere")
    for name in ("score_by_distance", "score_by_attractors", "learning_curves", "gradient_flow"):
        for kind in ("png", "svg"):
            path = root / "elsewhere" / f"{name}.{kind}"
            assert path.stat().st_size > 1000
            assert f"written: {path}\n" in text
    printed(capsys, root / "accuracygru0")  # the folder of one job
    assert (root / "accuracygru0/figures/gradient_flow.svg").exists()
    assert cells(printed(capsys, root), "GRU")[4] == "3"  # figures among the records do not disturb readers


def test_an_error_is_shown_in_digits_with_the_lowest_as_the_best(tmp_path, capsys):
    record(tmp_path, "rnn", 0, (0.16, 0.18), score="mse")
    record(tmp_path, "gru", 0, (0.00021, 0.0004), score="mse", with_showcase=False)
    text = printed(capsys, tmp_path)
    assert "Adding: MSE (lower is better), by distance" in text
    assert cells(text, "RNN")[:4] == ["RNN", "0.16", "0.18", "0.17"]
    assert cells(text, "GRU")[:4] == ["GRU", "0.00021", "0.0004", "0.00031"]
    assert ".." not in text.replace("minimum..maximum", "")  # a single seed has no range
    assert show._best(show.pd.Series([3.0, 1.0]), "min") == 1.0


def test_unfinished_and_diverged_runs_are_named_and_left_out(root, capsys):
    record(root, "gru", 3, (0.0, 0.0), status="diverged")
    for seed in range(3, 12):
        record(root, "rnn", seed, (0.0, 0.0), status="running")
    text = printed(capsys, root)
    assert cells(text, "RNN") == ["RNN", "60", "50", "55", "3 of 12", "0"]
    assert cells(text, "GRU") == ["GRU", "100", "90", "94", "3 of 4", "2"]
    assert "1 run diverged, left out: GRU seed 3 (accuracygru3) at step 40 of 100\n" in text
    assert re.search(r"\n9 runs unfinished, left out: RNN seed 3 \(accuracyrnn3\) .*, and 1 more\n", text)


def test_without_finished_runs_it_says_so(tmp_path, capsys):
    record(tmp_path, "rnn", 0, (0.5, 0.5), status="running")
    text = printed(capsys, tmp_path)
    assert cells(text, "RNN") == ["RNN", "-", "0 of 1", "0"]
    assert "no figure score_by_distance: no finished run has scores by distance" in text
    assert "___" not in text
    assert f"written: {tmp_path}/figures/learning_curves.png\n" in text


def test_tasks_come_each_with_its_own_table(root, capsys):
    record(root, "rnn", 0, (0.16, 0.18), score="mse")
    text = printed(capsys, root)
    assert text.index("Adding: MSE") < text.index("Copy memory: accuracy")


def test_what_goes_into_a_file_has_no_control_codes_and_fits_80_columns(root, capsys, monkeypatch):
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    text = printed(capsys, root, "--figures", root / "f")
    assert "\x1b" not in text
    assert max(len(line) for line in text.splitlines() if not line.startswith(("written", "no figure"))) <= 80


def test_in_a_terminal_medians_stand_out(root, monkeypatch):
    """This uses a real, very narrow terminal device."""
    ours, theirs = pty.openpty()
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    with os.fdopen(theirs, "w") as terminal:
        monkeypatch.setattr(show.sys, "stdout", terminal)
        show.main([str(root), "--figures", str(root / "f")])
        terminal.flush()
        text = os.read(ours, 100_000).decode()
    os.close(ours)
    assert "\x1b[1m" in text


def test_names_are_not_taken_for_markup(tmp_path, capsys):
    record(tmp_path, "[bold]$mine$", 0, (0.5, 0.5))
    text = printed(capsys, tmp_path)
    assert cells(text, "[bold]$mine$")[1] == "50"


@pytest.mark.usefixtures("real_files")
def test_bad_input_is_answered(tmp_path, capsys):
    with pytest.raises(SystemExit, match="0"):
        show.main(["--help"])
    assert "usage: rnnbench show" in capsys.readouterr().out
    with pytest.raises(UserError, match="there is no such folder"):
        show.main([str(tmp_path / "nowhere")])
    record(tmp_path, "rnn", 0, (0.5, 0.5))
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot write the figure"):
        show.main([str(tmp_path), "--figures", str(tmp_path / "file")])
    assert cells(capsys.readouterr().out, "RNN")[1] == "50"  # the tables are printed first
