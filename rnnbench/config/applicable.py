"""Whether the choices of a configuration go together. A sweep leaves out what does not."""

from collections.abc import Collection

from rnnbench.config.initialization import check_init
from rnnbench.config.schema import Config
from rnnbench.errors import InapplicableError


def check_applicable(config: Config, varied: Collection[str] = ()) -> None:
    """Checks that a run can be trained as configured.

    Args:
        config: a run's configuration.
        varied: dotted keys in which runs differ from this one.

    Raises:
        InapplicableError: the task needs data that nobody named, or the cell cannot be initialised as asked for.
        UserError: the cell or the initialisation cannot be built.
    """
    if config.task.get("path", "") is None:
        name = config.task["name"]
        raise InapplicableError(f"task={name}: needs data of yours; task.path=... says where it is")
    check_init(config, varied)
