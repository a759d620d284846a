"""Selects the rows that figures draw."""

import pandas as pd


def top_layer(table: pd.DataFrame) -> pd.DataFrame:
    """Returns the rows of each run's last layer."""
    return table[table["layer"] == table.groupby("run_id")["layer"].transform("max")]


def at_last_step(table: pd.DataFrame) -> pd.DataFrame:
    """Returns the rows of each run's last step."""
    return table[table["step"] == table.groupby("run_id")["step"].transform("max")]


def trained_length(scores: pd.DataFrame) -> float | None:
    """Returns the largest length in training, if the scores are broken down by length and all runs share one.

    Args:
        scores: rows of the table `scores`, merged with `label_runs`.
    """
    if (scores["by"] != "length").any() or scores["length"].nunique() != 1:
        return None
    return float(scores["length"].dropna().iloc[0])


def relative_flow(flow: pd.DataFrame) -> pd.DataFrame:
    """Returns the flow with two more columns, up to the last step with a gradient.

    `before` is the number of steps before that step, and `share` the norm divided by the state's last norm above 0.
    Later steps are left out, since the loss does not depend on them. (At the answer, it depends on c only through h.)
    """
    moment, state = ["run_id", "step"], ["run_id", "step", "layer", "state"]
    some = flow[flow["norm"] > 0].sort_values("time", kind="stable")
    flow = flow.merge(some.groupby(moment, as_index=False).agg(answer=("time", "max")), on=moment)
    flow = flow.merge(some.groupby(state, as_index=False).agg(end=("time", "last"), last=("norm", "last")), on=state)
    flow = flow[flow["time"] <= flow["end"]]
    return flow.assign(before=flow["answer"] - flow["time"], share=flow["norm"] / flow["last"])
