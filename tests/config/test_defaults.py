"""The numbers in the files of cells and initialisations are those that the code has without them."""

import inspect
from pathlib import Path
from typing import Any

import pytest
import yaml
from hydra.utils import get_object

from rnnbench.config.compose import shipped

VARIANTS = {
    "lstm_no_input": {"input_gate"},
    "lstm_no_output": {"output_gate"},
    "lstm_no_output_activation": {"output_activation"},
    "lstm_peephole": {"peepholes"},
    "chrono": {"longest"},
}
"""What a file sets to something else than the code, or has to set because the code has no default."""

FILES = [path for group in ("model", "init") for path in sorted((shipped("conf") / group).glob("*.yaml"))]


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}={path.stem}")
def test_numbers_are_those_of_the_code(path: Path) -> None:
    options: dict[str, Any] = yaml.safe_load(path.read_text()) or {}
    options = options.get("cell", options)
    if "_target_" not in options:
        return
    made: Any = get_object(options["_target_"])
    known = inspect.signature(made.__init__ if inspect.isclass(made) else made).parameters
    numbers = {name: value for name, value in options.items() if isinstance(value, int | float | list)}
    others = {name for name, value in numbers.items() if _plain(known[name].default) != value}
    assert others == VARIANTS.get(path.stem, set())


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
