"""Summaries as text, for the commands and the report page."""

import pandas as pd

from rnnbench.analysis.labels import metric_label
from rnnbench.analysis.numbers import interval, number, percent
from rnnbench.analysis.selection import at_last_step
from rnnbench.analysis.settings import in_order
from rnnbench.analysis.statistics import MIN_SEEDS
from rnnbench.visible import visible

Rows = list[list[str]]
"""A table as text, with its headings as the first row."""


def heading(of_task: pd.DataFrame) -> str:
    """Returns a task's heading: its name, and the score by which its runs are compared."""
    panel, score, goal = of_task[["panel", "score", "score_goal"]].iloc[0]
    return f"{panel}: {metric_label(score)}, {'higher' if goal == 'max' else 'lower'} is better"


def summary_rows(summary: pd.DataFrame, panel: str, order: list[str]) -> Rows:
    """Returns the rows that `statistics.summarize` has for a task's settings, in the given order."""
    own = summary[summary["panel"] == panel].set_index("line")
    rows = [["", "median", "interval", "quartiles", "seeds", "diverged", "solved", "interval", "steps to solve"]]
    for line in (line for line in order if line in own.index):
        row = own.loc[line]
        rows.append(
            [
                line,
                number(row["median"]),
                interval(row["low"], row["high"]),
                interval(row["q25"], row["q75"]),
                str(row["runs"]),
                str(row["diverged"]),
                f"{row['solved']} ({percent(row['solved_rate'])}%)",
                f"{percent(row['solved_low'])}%..{percent(row['solved_high'])}%",
                "-" if pd.isna(row["steps_to_solve"]) else f"{row['steps_to_solve']:.0f}",
            ]
        )
    return rows


def pair_rows(pairs: pd.DataFrame, panel: str, order: list[str]) -> Rows:
    """Returns the rows that `statistics.paired` has for a task's pairs of settings, in the given order."""
    rows = [["", "seeds", "better", "equal", "worse", "median difference", "interval", "p", "p (Holm)"]]
    if pairs.empty:
        return rows
    own = pairs[pairs["panel"] == panel]
    rank = {line: number for number, line in enumerate(order)}
    for row in own.sort_values(["line", "other"], key=lambda names: names.map(rank)).to_dict("records"):
        rows.append(
            [
                f"{row['line']} - {row['other']}",
                *(str(row[count]) for count in ("seeds", "better", "equal", "worse")),
                number(row["difference"]),
                interval(row["low"], row["high"]),
                number(row["p"], 2),
                number(row["p_holm"], 2),
            ]
        )
    return rows


def notes(summary: pd.DataFrame, pairs: pd.DataFrame) -> list[str]:
    """Returns what a reader must know about the intervals and p-values of these tables."""
    found = []
    if (summary["runs"] < MIN_SEEDS).any():
        found.append(
            f"Medians of fewer than {MIN_SEEDS} seeds have no interval: the range of n seeds holds the true median "
            "with a probability of only 1 - 2^(1-n)."
        )
    if len(pairs) and pairs.groupby("panel").size().max() > 1:
        found.append("p (Holm) is corrected for the number of pairs on the task (Holm 1979); p is not.")
    return found


RIGHT = " (right)"
"""Marks the heading of the right continuation."""


def completions(labelled: pd.DataFrame, showcase: pd.DataFrame) -> dict[str, Rows]:
    """Returns a table for each prompt: the probability that each setting gives each continuation."""
    finished = labelled[labelled["status"] == "finished"]
    rows = at_last_step(showcase.merge(finished, on="run_id"))
    tables = {}
    for prompt, of_prompt in rows.groupby("prompt", sort=False):
        right = dict(of_prompt.groupby("continuation", sort=False)["correct"].first())
        headings = [f"{visible(continuation)}{RIGHT if is_right else ''}" for continuation, is_right in right.items()]
        table = [["", *headings, "seeds right"]]
        for line, _ in in_order(of_prompt):
            own = of_prompt[of_prompt["line"] == line].pivot(
                index="run_id", columns="continuation", values="probability"
            )
            wanted = [name for name, is_right in right.items() if is_right]
            hits = int(own.idxmax(axis=1).isin(wanted).sum())
            medians = [f"{percent(own[name].median())}%" for name in right]
            table.append([line, *medians, f"{hits} of {len(own)}"])
        tables[f'"{_sentence(str(prompt))} ___"'] = table
    return tables


def _sentence(prompt: str) -> str:
    """Returns space-separated words as a normal sentence."""
    text = prompt.replace(" ,", ",").replace(" .", ".")
    return visible(text[:1].upper() + text[1:])
