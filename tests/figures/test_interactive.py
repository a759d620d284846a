"""The contents of the page's figures, in plotly's form."""

import numpy as np
import pandas as pd

from rnnbench.figures import interactive
from rnnbench.figures.colours import setting_looks
from tests.figures.samples import trace


def test_settings_with_steps_of_their_own_are_drawn_to_their_end():
    """One run has many evaluations; the other has few and diverged early."""
    at = {"value": 0.5, "score": "accuracy", "score_goal": "max", "chance": np.nan}
    rnn = pd.DataFrame(
        {"line": "RNN", "model": "rnn", "run_id": "a", "step": range(1, 2001), "status": "finished", **at}
    )
    gru = pd.DataFrame({"line": "GRU", "model": "gru", "run_id": "b", "step": range(101, 502, 100), **at})
    rows = pd.concat([rnn, gru.assign(status="diverged")])
    figure = interactive.learning_curves(rows, setting_looks(rows)).to_plotly_json()
    assert trace(figure, "GRU")["x"] == [101, 201, 301, 401, 501]
    assert trace(figure, "GRU, diverged")["x"] == [501]
    assert trace(figure, "RNN")["x"][-1] == 2000
    assert len(trace(figure, "RNN")["x"]) < 400

    flow = pd.concat([rnn, gru]).assign(layer=0, state="h", before=0, share=0.5)
    curves = interactive.flow_curves(flow, setting_looks(flow))
    assert [curve.shares.notna().to_numpy()[0, -1] for curve in curves] == [True, True], "what has ended keeps its last"


def test_states_are_dashed_as_in_the_static_figures():
    rows = [
        {"line": "sLSTM", "model": "slstm", "run_id": "a", "step": 0, "layer": 0, "state": state, "before": before}
        for state in ("c", "n", "m", "h") for before in (0, 1)
    ]  # fmt: skip
    flow = pd.DataFrame(rows).assign(share=0.5)
    curves = interactive.flow_curves(flow, setting_looks(flow))
    figure = interactive.gradient_flow(curves).to_plotly_json()
    assert [trace["name"] for trace in figure["data"]] == [
        "sLSTM", "sLSTM, cell state c", "sLSTM, state n", "sLSTM, state m",
    ]  # fmt: skip
    dashes = [trace["line"].get("dash") for trace in figure["data"]]
    assert dashes == [None, "6.25px,3.75px", "2.5px,3.25px", "10px,3.25px,2.5px,3.25px"]
