"""The command line, `rnnbench ...`: `cli` reads the first word, and each command has its own module.

No command imports another. Commands may import every other folder, and do so late if the import is slow.
"""

COMMANDS = {
    "cells": ("[key=value ...]", "show all cells, their sizes, and the time of a training step"),
    "tasks": ("[key=value ...]", "show all tasks and their chance levels, or examples"),
    "status": ("DIR", "show the progress of the sweeps in DIR"),
    "show": ("DIR [--figures DIR2]", "show tables and sentences, and draw the figures"),
    "compare": ("DIR", "statistics over seeds, as table, Markdown and CSV"),
    "report": ("DIR [--output FILE]", "write everything as one interactive HTML page"),
    "probe": ("RUN", "measure gates, Jacobians and memory of trained models"),
}
"""The commands besides training, each the module of its name: its arguments and its meaning, for `rnnbench --help`."""
