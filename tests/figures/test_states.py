"""Every state has its own line pattern."""

import pandas as pd

from rnnbench.figures.legends import states_legend
from rnnbench.figures.states import ALL, FULL, NAMED, source_label, state_dashes


def states(**names):
    return pd.DataFrame([(model, state) for model, own in names.items() for state in own], columns=["model", "state"])


def labels(handles):
    return [handle.get_label() for handle in handles]


def test_every_name_has_a_pattern():
    table = states(lstm=["c", "h"], slstm=["c", "n", "m", "h"], gru=["h"])
    dashes = state_dashes(table)
    assert dashes["lstm", "h"] == dashes["slstm", "h"] == dashes["gru", "h"] == FULL
    assert dashes["lstm", "c"] == dashes["slstm", "c"] == NAMED["c"]
    assert len({FULL, NAMED["c"], dashes["slstm", "n"], dashes["slstm", "m"]}) == 4
    assert state_dashes(states(slstm=["c", "n"]))["slstm", "n"] == dashes["slstm", "n"], "in every figure"
    handles = states_legend(table)
    assert labels(handles) == ["hidden state h", "cell state c", "state n", "state m"]
    assert len({str(handle._dash_pattern) for handle in handles}) == 4


def test_the_first_state_of_a_cell_without_h_is_drawn_in_full():
    dashes = state_dashes(states(mine=["s10", "s1", "s0"], lstm=["h", "c"]))
    assert dashes["mine", "s0"] == FULL
    assert len({FULL, NAMED["c"], dashes["mine", "s1"], dashes["mine", "s10"]}) == 4
    assert state_dashes(states(lstm=["c"])) == {("lstm", "c"): NAMED["c"]}, "c is dashed where h has no rows, too"


def test_all_states_together_have_one_entry():
    table = states(lstm=["h", "h,c"], slstm=["h", "c,n,m,h"], mine=["s0", "s0,s1"], gru=["h"])
    dashes = state_dashes(table)
    assert dashes["lstm", "h,c"] == dashes["slstm", "c,n,m,h"] == dashes["mine", "s0,s1"] == ALL
    assert labels(states_legend(table, source_label)) == ["of h", "of s0", "of all states"]


def test_one_state_needs_no_legend():
    assert states_legend(states(rnn=["h"], gru=["h"])) == []
