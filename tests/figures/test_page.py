"""The page shows what the records say, whether they are complete or not. The tests read it as a file."""

import re
from pathlib import Path

import numpy as np
import pytest
from plotly.offline import get_plotlyjs

from rnnbench.figures.colours import COLOURS
from rnnbench.figures.page import write_report
from rnnbench.probes.finding import drawers
from rnnbench.records.plans import record_plan
from rnnbench.records.writer import Records
from tests.figures.pages import figures, record, section, written
from tests.figures.samples import trace
from tests.helpers import tables_of

ROOT = Path(__file__).parents[2]


def test_the_comparison_is_that_of_the_seeds(root):
    comparison = section(written(root), "comparison")
    assert "<h3>Copy memory: accuracy, higher is better</h3>" in comparison
    assert "<tr><th>RNN</th><td>0.5</td><td>-</td><td>0.45..0.55</td>" in comparison
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


def test_text_from_records_is_no_markup(hostile):
    page = written(hostile)
    assert page.count("</script>") == len(figures(page)) + 2
    assert "<img" not in page.replace(get_plotlyjs(), "")
    for figure in figures(page):
        for drawn in figure["data"]:
            assert "<" not in drawn.get("name", "")
