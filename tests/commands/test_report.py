"""The page shows what the records say and runs no other code. The tests read it as a file and in a real browser."""

import json
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright
from plotly.offline import get_plotlyjs

from rnnbench.commands import report
from rnnbench.commands.report import report_sweep
from rnnbench.errors import UserError
from rnnbench.figures.colours import COLOURS
from rnnbench.figures.page import write_report
from rnnbench.probes.finding import drawers
from rnnbench.records.plans import record_plan
from rnnbench.records.writer import Records
from tests.helpers import record_job, run_row, tables_of

ROOT = Path(__file__).parents[2]
CHROMIUM = shutil.which("chromium")
HOSTILE = """</script><script>window.hacked=1</script><img src=x onerror="window.hacked=1"> <b>'&lt;' %{x}"""
STEPS, TIMES = (0, 20, 40), range(5)
WORDS = ["last", "year", "I"]

# Continuous integration sets the variable so that these tests cannot be skipped there.
in_browser = pytest.mark.skipif(
    CHROMIUM is None and os.environ.get("RNNBENCH_TEST_CHROMIUM") != "1", reason="not installed: chromium"
)


def decay(step):
    """Returns the fraction of the gradient that is left one time step earlier."""
    return 0.1 if step == 0 else 0.5


def record(root, model="gru", seed=0, status="finished", result=0.75, without=(), word="had", times=TIMES, **more):
    """Records a run: its score in two bins, gradients that decay over time, and the gates for one sentence."""
    run = run_row(model, seed, result, status, run_id=f"{len(list(root.glob('*')))}{seed}", **more)
    grid = [(step, time) for step in STEPS for time in times]
    units = [(time, unit) for time in range(3) for unit in range(2)]
    tables = {
        "metrics": {"step": STEPS, "value": [0.25, result, result]},
        "scores": {"value": [result, result / 2]},
        "gradient_flow": {"step": [step for step, _ in grid], "time": [time for _, time in grid],
                          "norm": [3 * decay(step) ** (times[-1] - time) for step, time in grid]},
        "gate_traces": {"time": [time for time, _ in units], "gate": "update",
                        "word": [[*WORDS[:2], word][time] for time, _ in units],
                        "unit": [unit for _, unit in units], "value": np.linspace(0, 1, 6)},
        "showcase": {"prompt": f"last year , {word}", "continuation": ["need", word], "probability": [0.25, 0.75]},
    }  # fmt: skip
    tables = {name: table for name, table in tables.items() if name not in without}
    record_job(root / run["run_id"], [run], {40: tables})


def written(folder: Path) -> str:
    return write_report(folder, folder / "report.html", drawers()).read_text()


def section(page: str, name: str) -> str:
    return re.search(rf'<section id="{name}">(.*?)</section>', page, re.DOTALL)[1]


def figures(page: str) -> list[dict]:
    return [json.loads(text) for text in re.findall(r'<script type="application/json">(.*?)</script>', page)]


def trace(figure: dict, name: str) -> dict:
    [found] = [trace for trace in figure["data"] if trace.get("name") == name]
    return found


@pytest.fixture
def root(tmp_path):
    """Returns a folder of runs with the medians 0.5 (RNN) and 0.9 (GRU)."""
    for seed, (rnn, gru) in enumerate([(0.5, 1.0), (0.4, 0.9), (0.6, 0.7)]):
        record(tmp_path, "rnn", seed, result=rnn)
        record(tmp_path, "gru", seed, result=gru)
    return tmp_path


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


def test_the_comparison_is_that_of_the_seeds(root):
    comparison = section(written(root), "comparison")
    assert "<h3>Copy memory: accuracy, higher is better</h3>" in comparison
    assert "<tr><th>RNN</th><td>0.5</td><td>0.4..0.6</td>" in comparison
    assert "<tr><th>GRU</th><td>0.9</td>" in comparison


def test_learning_curves_and_scores_draw_medians_and_ranges(root):
    curves, scores, *_ = figures(written(root))
    assert trace(curves, "GRU")["x"] == [0, 20, 40]
    assert trace(curves, "GRU")["y"] == [0.25, 0.9, 0.9]
    assert trace(curves, "GRU")["line"]["color"] == COLOURS["gru"]
    assert trace(curves, "chance")["y"] == [0.25, 0.25]
    band, seeds = [trace for trace in curves["data"] if trace.get("legendgroup") == "GRU"][:2]
    assert band["y"] == [0.25, 1, 1, 0.7, 0.7, 0.25]
    assert seeds["y"] == [0.25, 1, 1, None, 0.25, 0.9, 0.9, None, 0.25, 0.7, 0.7, None]
    assert trace(scores, "GRU")["y"] == [0.9, 0.45]
    assert trace(scores, "GRU")["error_y"]["array"] == [0.1, 0.05]
    assert trace(scores, "GRU")["error_y"]["arrayminus"] == [0.2, 0.1]
    assert scores["layout"]["xaxis"]["ticktext"] == ["1-2", "3-4"]


def test_a_run_that_diverged_has_a_cross(root):
    record(root, "gru", 3, status="diverged", result=0.3)
    curves, scores, *_ = figures(written(root))
    cross = trace(curves, "GRU, diverged")
    assert (cross["x"], cross["y"], cross["mode"]) == ([40], [0.3], "markers")
    assert trace(scores, "GRU")["y"] == [0.9, 0.45], "finished runs alone"


def test_the_slider_and_the_maps_hold_every_training_step(root):
    flow, rnn, _ = figures(section(written(root), "gradient-flow"))
    names = [trace["name"] for trace in flow["data"]]
    assert names == ["RNN", "GRU"]
    assert flow["data"][0]["x"] == [0, 1, 2, 3, 4]
    assert flow["data"][0]["y"] == [1, 0.5, 0.25, 0.125, 0.0625], "after training"
    [slider] = flow["layout"]["sliders"]
    assert [moment["label"] for moment in slider["steps"]] == ["0", "20", "40"]
    np.testing.assert_allclose(slider["steps"][0]["args"][0]["y"], [[1, 0.1, 0.01, 1e-3, 1e-4]] * 2)
    assert rnn["data"][0]["y"] == [0, 20, 40]
    np.testing.assert_allclose(rnn["data"][0]["z"][0], [0, -1, -2, -3, -4], atol=1e-12)


def test_states_of_several_layers_are_told_apart(tmp_path):
    record(tmp_path, "lstm", without=("gradient_flow",))
    [folder] = tmp_path.iterdir()
    states = {"layer": [0, 0, 1, 1], "state": ["c", "h"] * 2, "norm": 1.0, "q10": 1.0, "q50": 1.0, "q90": 1.0}
    with Records(folder, {}) as owner:
        owner.write(50, tables_of({"gradient_flow": {"run_id": folder.name, "step": 0, "time": 0, **states}}))
    flow, *maps = figures(section(written(tmp_path), "gradient-flow"))
    names = [f"LSTM, layer {layer}{state}" for layer in (1, 2) for state in ("", ", cell state c")]
    assert [trace["name"] for trace in flow["data"]] == names
    assert [trace["line"].get("dash", "solid") for trace in flow["data"]] == ["solid", "6.25px,3.75px"] * 2
    assert {trace["mode"] for trace in flow["data"]} == {"markers"}, "a line needs two points"
    assert len(maps) == 4


def test_gates_are_those_of_the_first_seed_that_finished(root):
    record(root, "lstm", 0, status="diverged")
    record(root, "lstm", 1)
    gates = section(written(root), "gates-word-by-word")
    assert re.findall("<summary>(.*?)</summary>", gates) == ["RNN, seed 0", "LSTM, seed 1", "GRU, seed 0"]
    [of_rnn, *_] = figures(gates)
    assert of_rnn["layout"]["xaxis"]["ticktext"] == ["last", "year", "had"]
    assert of_rnn["data"][0]["z"] == [[0, 0.4, 0.8], [0.2, 0.6, 1]], "unit by unit"
    assert "<figcaption>update, sentence 1</figcaption>" in gates


def test_sentences_runs_and_their_configuration(root):
    record(root, "gru", 4, **{"optimizer.learning_rate": 0.0001})
    page = written(root)
    assert "<p>&#34;Last year, had ___&#34;</p>" in section(page, "completed-sentences")
    assert "<tr><th>RNN</th><td>25%</td><td>75%</td><td>3 of 3</td></tr>" in section(page, "completed-sentences")
    runs = section(page, "runs")
    assert runs.count("train.steps: 100") == 1, "what all share is told once"
    assert runs.count("optimizer.learning_rate: 0.0001") == 1
    assert runs.count("<tr>") == 1 + 7


def test_what_failed_names_step_and_folder(root):
    record(root, "rnn", 7, status="diverged")
    record(root, "rnn", 8, status="running")
    record_plan(root, {run: {"task": "copy_memory", "model": "lstm", "steps": 100} for run in ("67", "left")})
    page = written(root)
    assert "8 runs: 6 finished, 1 diverged, 1 unfinished." in page
    failed = section(page, "what-failed")
    for seed, folder in ((7, "67"), (8, "78")):
        cells = ["Copy memory</th>", "RNN</td>", f"{seed}</td>", "40</td>", "100</td>", f"{folder}</td>"]
        assert "<th>" + "<td>".join(cells) in failed
    assert "<th>Copy memory</th><td>LSTM</td><td>100</td><td>left</td>" in failed
    assert failed.count("LSTM") == 1
    assert str(root) not in page


@pytest.mark.parametrize("status", ["running", "diverged", "finished"])
def test_a_single_run_that_recorded_little_has_a_page(tmp_path, status):
    every = ("metrics", "scores", "gradient_flow", "gate_traces", "showcase")
    record(tmp_path, status=status, without=every)
    page = written(tmp_path)
    assert figures(page) == []
    for told in ("No run has been evaluated yet", "No gradient flow was recorded", "No gates were recorded"):
        assert told in page
    for without in every:
        folder = tmp_path / without
        record(folder, status=status, without=(without,), times=range(1))
        assert figures(written(folder))


def test_gradients_that_vanish_or_explode_have_a_page(tmp_path):
    flow = {"run_id": "x", "step": 0, "layer": 0, "state": ["h", "h", "c", "c"], "time": [0, 1, 0, 1]}
    for name, norms in {"none": [0, 0, 0, 0], "all": [1, np.inf, 1, np.inf], "nan": [np.nan, 1, 0, 1]}.items():
        record(tmp_path / name, without=("gradient_flow",))
        [folder] = (tmp_path / name).iterdir()
        deciles = dict.fromkeys(("q10", "q50", "q90"), np.nan)
        with Records(folder, {}) as owner:
            owner.write(50, tables_of({"gradient_flow": {**flow, "run_id": folder.name, "norm": norms, **deciles}}))
        shown = figures(section(written(tmp_path / name), "gradient-flow"))
        assert len(shown) == {"none": 0, "all": 3, "nan": 3}[name]


def test_figures_draw_the_best_of_very_many_settings(tmp_path):
    for number in range(40):
        record(tmp_path, "gru", result=number / 40, **{"optimizer.learning_rate": number / 100})
    page = written(tmp_path)
    assert "Figures draw the 24 best by median of the 40 settings of Copy memory." in page
    curves = figures(page)[0]
    names = {trace["name"] for trace in curves["data"] if "name" in trace} - {"chance"}
    assert names == {f"GRU, learning rate {number / 100:g}" for number in range(16, 40)}
    assert section(page, "comparison").count("<tr>") == 1 + 40


def test_three_hundred_runs_fit(tmp_path):
    page = write_report(ROOT / "experiments/sweep_300/results", tmp_path / "page.html", drawers())
    assert page.stat().st_size < 6e6
    text = page.read_text()
    assert section(text, "runs").count("<details>") == 300 + 1
    assert max(len(figure["data"]) for figure in figures(text)) <= 50
    again = write_report(ROOT / "experiments/sweep_300/results", tmp_path / "again.html", drawers())
    assert again.read_bytes() == page.read_bytes()


@pytest.fixture
def hostile(tmp_path):
    """Returns a folder of records whose names and words would run as code if they were not escaped."""
    for seed in range(2):
        record(tmp_path, HOSTILE, seed, word=HOSTILE, **{"task.name": HOSTILE, "optimizer.name": HOSTILE})
    record(tmp_path, HOSTILE, 2, word=HOSTILE, **{"task.name": HOSTILE, "optimizer.name": "adam"})
    record_plan(tmp_path, {HOSTILE: {"task": HOSTILE, "model": HOSTILE, "steps": 100}})
    return tmp_path


def test_text_from_records_is_no_markup(hostile):
    page = written(hostile)
    assert page.count("</script>") == len(figures(page)) + 2
    assert "<img" not in page.replace(get_plotlyjs(), "")
    for figure in figures(page):
        for trace in figure["data"]:
            assert "<" not in trace.get("name", "")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def context(browser: Browser, request: pytest.FixtureRequest) -> Iterator[BrowserContext]:
    """Yields an offline browser, as large as the test's parameter says, and fails on any error, message or request."""
    wrong: list[str] = []
    context = browser.new_context(offline=True, **getattr(request, "param", {}))
    context.on("weberror", lambda error: wrong.append(str(error.error)))
    context.on("console", lambda message: wrong.append(message.text))
    context.on("request", lambda asked: wrong.append(asked.url) if asked.url.startswith("http") else None)
    yield context
    context.close()
    assert wrong == []


def opened(context: BrowserContext, folder: Path) -> Page:
    """Returns the opened page with every figure drawn."""
    page = context.new_page()
    page.goto(write_report(folder, folder / "report.html", drawers()).as_uri())
    page.evaluate("for (const folded of document.querySelectorAll('details')) folded.open = true")
    for plot in page.locator(".plot").all():
        plot.scroll_into_view_if_needed()
        plot.locator(".main-svg").first.wait_for()
    return page


@in_browser
def test_the_slider_changes_the_figure(context, root):
    page = opened(context, root)
    plot = page.locator(".plot:has(.slider-container)")
    plot.scroll_into_view_if_needed()

    def last() -> list[float]:
        return plot.evaluate("plot => [plot.data[0].y[4], plot.calcdata[1][4].y]")

    assert last() == pytest.approx([0.5**4] * 2)
    rail = plot.locator(".slider-rail-touch-rect")
    rail.click(position={"x": 1, "y": 5})
    page.wait_for_function("plot => plot.data[0].y[4] < 0.001", arg=plot.element_handle())
    assert last() == pytest.approx([0.1**4] * 2)
    assert plot.locator(".slider-label").first.text_content() == "training step 0"


@in_browser
def test_hostile_text_is_shown_and_does_not_run(context, hostile):
    page = opened(context, hostile)
    assert page.evaluate("window.hacked") is None
    assert page.locator("pre", has_text=f"optimizer.name: {HOSTILE}").first.is_visible()
    assert page.locator("h3", has_text=HOSTILE.capitalize().replace("_", " ")).first.is_visible()
    assert HOSTILE in page.locator(".legendtext").first.text_content()
    assert page.locator(".xtick text").filter(has_text=HOSTILE).first.text_content() == HOSTILE
    assert page.locator("main img").count() == 0


@in_browser
def test_nothing_but_its_own_scripts_runs_in_the_page(browser, root):
    text = written(root).replace(
        "</main>", "<img src=data:, onerror='window.hacked=1'><script>hacked=1</script></main>"
    )
    (root / "report.html").write_text(text)
    page = browser.new_page()
    page.goto((root / "report.html").as_uri())
    page.locator(".main-svg").first.wait_for()
    assert page.evaluate("window.hacked") is None
    page.close()


@in_browser
def test_runs_are_filtered_by_words(context, root):
    page = opened(context, root)
    rows = page.locator("#runs tbody tr:visible")
    assert rows.count() == 6
    page.get_by_label("filter").fill("gru 0.9")
    assert [text.split("\t")[:2] for text in rows.all_inner_texts()] == [["GRU", "1"]]
    page.get_by_label("filter").fill("")
    assert rows.count() == 6


@in_browser
@pytest.mark.parametrize("context", [{"viewport": {"width": 390, "height": 844}, "is_mobile": True}], indirect=True)
def test_a_phone_shows_it_without_scrolling_sideways(context, hostile, root):
    page = opened(context, root)
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    for plot in page.locator(".plot").all():
        assert plot.bounding_box()["width"] <= 390 - 2 * 16


@in_browser
def test_figures_are_drawn_once_they_are_near_the_window(context, root):
    page = context.new_page()
    page.goto(write_report(root, root / "report.html", drawers()).as_uri())
    page.locator("#learning-curves .main-svg").first.wait_for()
    gates = page.locator("#gates-word-by-word .main-svg")
    assert gates.count() == 0
    page.locator("#gates-word-by-word").scroll_into_view_if_needed()
    gates.first.wait_for()
