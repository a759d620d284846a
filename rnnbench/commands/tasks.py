"""`rnnbench tasks [key=value ...]`: shows all tasks, with their papers, inputs and chance levels, or some examples."""

import re
from collections.abc import Sequence

import numpy as np
from rich.text import Text

from rnnbench.analysis.labels import metric_label
from rnnbench.analysis.numbers import number
from rnnbench.commands import terminal
from rnnbench.commands.options import add_overrides, chosen
from rnnbench.commands.parser import Parser
from rnnbench.config.compose import compose
from rnnbench.config.messages import name_left_out
from rnnbench.config.objects import instantiate
from rnnbench.config.schema import Config
from rnnbench.errors import UserError

EXAMPLE_SEED = 0
"""Seed of the examples that are shown; training draws others."""


def main(argv: Sequence[str] | None = None) -> int:
    """Prints a row for each option of the group `task`, or examples of one, and returns the exit code.

    Args:
        argv: the command line after `tasks`.

    Raises:
        UserError: an override is not valid, or no task can be built with them; others are named on stderr.
    """
    parser = Parser(
        prog="rnnbench tasks",
        description="Shows the tasks that task=NAME selects: what each is, its inputs and its length, the chance level "
        "of its score, and what counts as solved. Overrides choose their options or some of them: "
        "task=copy,reverse. With --examples, shows examples of them, the steps that decide an answer marked by ^.",
    )
    add_overrides(parser)
    parser.add_argument("--examples", type=_count, metavar="N", help="show N examples of each task, not the table")
    arguments = parser.parse_intermixed_args(argv)
    names, others, known = chosen(arguments, "task")
    for name in names:
        if name not in known:
            compose(f"task={name}", config_dir=arguments.config_dir)  # says which names there are

    table = terminal.table("task=", "what it is", "inputs", "length", "score", "chance", "solved")
    for column in table.columns[1:]:
        column.justify, column.overflow = "left", "fold"
    examples: list[Text] = []
    left_out: list[str] = []
    for name in names:
        try:
            config = compose(f"task={name}", *others, config_dir=arguments.config_dir)
            if arguments.examples:
                examples += _examples(name, config, arguments.examples)
            else:
                table.add_row(name, *map(Text, [known.get(name, ""), *_about(config)]))
        except UserError as error:
            left_out.append(f"task={name}: {error}")
    if not (table.row_count or examples):
        raise UserError(left_out[0])
    name_left_out(left_out)
    console = terminal.console()
    if not examples:
        console.print(table)
    for line in examples:
        console.print(line, soft_wrap=True)
    return 0


def _count(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise UserError(f"--examples: expected a number of 1 or more, got {text!r}")
    return int(text)


def _about(config: Config) -> list[str]:
    """Returns a row of the table from its third column on."""
    task = instantiate(config.task, "task")
    inputs = f"{task.vocab_size} symbols" if task.vocab_size else f"{task.in_features} numbers"
    inputs = "1 number" if inputs == "1 numbers" else inputs
    longest = getattr(task, "test_length", task.length)
    length = str(task.length) if longest == task.length else f"{task.length}, test {longest}"
    return [
        inputs,
        length,
        metric_label(task.score),
        number(task.chance()[task.score], digits=3),
        _solved(type(task)),
    ]


def _solved(task: type) -> str:
    """Returns what counts as solved, as the docstring of a task, or of a class that it extends, says it."""
    for kind in task.__mro__:
        found = re.search(r"Solved: (.+?)\.(?:\s*$|\s+[A-Z])", kind.__doc__ or "", re.DOTALL | re.MULTILINE)
        if found:
            return " ".join(found[1].split())
    return ""


def _examples(name: str, config: Config, count: int) -> list[Text]:
    """Returns examples as a person reads them: a column for each step, and a row for each thing to read at it."""
    import jax

    task = instantiate(config.task, "task")
    keys = jax.random.split(jax.random.key(EXAMPLE_SEED), count)
    drawn = jax.tree.map(np.asarray, jax.jit(jax.vmap(task.example))(keys))
    shown = [Text(f"\n{name}", style="bold")]
    width = terminal.console().width
    for index in range(count):
        example = jax.tree.map(lambda leaf, index=index: leaf[index], drawn)
        rows = task.read_inputs(example.inputs[example.mask]) | {"answer": task.read_targets(example)}
        if "cue" in example.info:
            rows["cue"] = ["^" if is_cue else "" for is_cue in example.info["cue"][example.mask]]
        shown += [Text(""), *map(Text, _columns(rows, width))]
    return shown


def _columns(rows: dict[str, list[str]], width: int) -> list[str]:
    """Returns lines in which what belongs to a step stands in one column, broken where the terminal ends."""
    names = max(map(len, rows)) + 2
    columns = [[text.rjust(max(map(len, column))) for text in column] for column in zip(*rows.values(), strict=True)]
    lines: list[str] = []
    start = 0
    while start < len(columns):
        end, used = start, names
        while end < len(columns) and (end == start or used + len(columns[end][0]) + 1 <= width):
            used += len(columns[end][0]) + 1
            end += 1
        block = [" ".join(column[row] for column in columns[start:end]) for row in range(len(rows))]
        lines += [f"{name:{names}}{text}".rstrip() for name, text in zip(rows, block, strict=True)]
        start = end
    return lines
