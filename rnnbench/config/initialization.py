"""Whether the initialisation that a configuration names can be applied to its cell."""

import functools
import json
from collections.abc import Collection
from typing import Any

from rnnbench.config.objects import blame, changed_arguments, instantiate, partial
from rnnbench.config.schema import CELL_ARGUMENTS, Config
from rnnbench.errors import InapplicableError, UserError


def check_init(config: Config, varied: Collection[str] = ()) -> None:
    """Checks that the cell can take `init`, and that no option of the cell is set which would then have no effect.

    Args:
        config: a run's configuration.
        varied: dotted keys in which runs differ from this one.

    Raises:
        InapplicableError: it cannot.
        UserError: the cell or the initialisation cannot be built.
    """
    if config.init is None:
        return
    cell = config.model.cell
    said = f"init={config.init.get('name', config.init['_target_'])} with model={config.model.name}"
    try:
        replaced = _replaced(json.dumps(cell), json.dumps(config.init), config.model.hidden_size or 64)
    except ValueError as error:
        raise InapplicableError(f"{said}: {error}") from error
    changed = changed_arguments(cell, "model.cell") | {key.removeprefix("model.cell.") for key in varied}
    for option in replaced:
        if option in changed:
            raise InapplicableError(f"{said}: model.cell.{option} would have no effect; expected only one of the two")


@functools.lru_cache(maxsize=128)
def _replaced(cell: str, init: str, hidden_size: int) -> tuple[str, ...]:
    make_cell = partial(json.loads(cell), "model.cell", given=CELL_ARGUMENTS)
    initialization = instantiate(json.loads(init), "init")
    if not hasattr(initialization, "replaced_options"):
        raise UserError(
            "init._target_: expected what makes an rnnbench.cells.initialization.Initialization, got "
            f"{json.loads(init)['_target_']}, which makes a {type(initialization).__name__}"
        )

    def make(**keys: Any) -> Any:
        with blame("model.cell"):
            return make_cell(1, hidden_size, **keys)

    return initialization.replaced_options(make)
