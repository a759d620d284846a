"""`rnnbench cells [key=value ...]`: shows all cells, with their papers, gates, states, sizes and times of a step."""

import statistics
import sys
import time
from collections.abc import Sequence

from rich.console import Console
from rich.progress import track
from rich.text import Text

from rnnbench.commands import terminal
from rnnbench.commands.options import add_overrides, chosen
from rnnbench.commands.parser import Parser
from rnnbench.config.compose import compose
from rnnbench.config.messages import name_left_out
from rnnbench.config.schema import Config
from rnnbench.errors import UserError

STEPS = 10
"""Training steps that are timed together."""

TIMES = 5
"""How often they are timed."""


def main(argv: Sequence[str] | None = None) -> int:
    """Prints a row for each option of the group `model`, and returns the exit code.

    Args:
        argv: the command line after `cells`.

    Raises:
        UserError: an override is not valid, or no cell can be built with them; others are named on stderr.
    """
    parser = Parser(
        prog="rnnbench cells",
        description="Shows the cells that model=NAME selects: what each is, its gates and states, whether all its time "
        "steps can be computed at once, how large the model is, and the median time of a training step on this "
        "machine. Overrides choose the size and the task, for example model.parameters=16000 task.length=200, or some "
        "of the cells: model=lstm,gru.",
    )
    add_overrides(parser)
    parser.add_argument("--untimed", action="store_true", help="do not measure the time, which takes seconds a cell")
    arguments = parser.parse_intermixed_args(argv)
    names, others, known = chosen(arguments, "model")
    # The steps that are timed make one segment.
    own = (f"train.steps={STEPS}", f"train.eval_every={STEPS}", "train.test_size=1", "probe.at_evaluation=[]")
    configs = [compose(f"model={name}", *others, *own, config_dir=arguments.config_dir) for name in names]

    about = ["model=", "what it is", "gates", "states", "parallel in time"]
    sizes = ["hidden size", "parameters", "state size"]
    table = terminal.table(*about, *sizes, *([] if arguments.untimed else ["ms a step"]))
    for column in table.columns[1:4]:
        column.justify, column.overflow = "left", "fold"
    console = Console(file=sys.stderr)
    left_out: list[str] = []
    for name, config in track(
        list(zip(names, configs, strict=True)),
        "cells",
        console=console,
        transient=True,
        disable=not console.is_terminal,
    ):
        try:
            table.add_row(name, Text(known.get(name, "")), *map(Text, _about(config, timed=not arguments.untimed)))
        except UserError as error:
            left_out.append(f"model={name}: {error}")
    if not table.row_count:
        raise UserError(left_out[0])
    name_left_out(left_out)
    terminal.console().print(table)
    return 0


def _about(config: Config, timed: bool) -> list[str]:
    """Returns a row of the table from its third column on."""
    import jax

    from rnnbench.cells import GatedCell
    from rnnbench.cells.linear import is_linear
    from rnnbench.model import state_names
    from rnnbench.training.devices import start_devices, use_devices
    from rnnbench.training.program import Program

    use_devices(config.devices)
    start_devices()
    program = Program([config], jax.devices())
    cell = program.builder.template.layers[0]
    gates = ", ".join(cell.gates) if isinstance(cell, GatedCell) else ""
    row = [gates, ", ".join(state_names(cell)), "yes" if is_linear(cell) else "no"]
    row += [f"{size:,}" for size in program.builder.sizes.values()]
    if timed:
        seconds = []
        states = program.place([program.init(config)])
        for _ in range(1 + TIMES):  # the first one warms up
            # A state that has taken all its steps would stay as it is.
            states = jax.block_until_ready(states._replace(step=jax.numpy.zeros_like(states.step)))
            start = time.perf_counter()
            states, _ = jax.block_until_ready(program.segment(states))
            seconds.append(time.perf_counter() - start)
        row.append(f"{1000 * statistics.median(seconds[1:]) / STEPS:.2f}")
    return row
