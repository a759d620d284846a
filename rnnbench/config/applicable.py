"""Whether the choices of a configuration go together. A sweep leaves out what does not."""

from collections.abc import Collection

from rnnbench.config.initialization import check_init
from rnnbench.config.schema import Config
from rnnbench.errors import InapplicableError

FILES = ("path", "train")
"""Arguments by which tasks are told where their data are."""


def check_applicable(config: Config, varied: Collection[str] = ()) -> None:
    """Checks that a run can be trained as configured.

    Args:
        config: a run's configuration.
        varied: dotted keys in which runs differ from this one.

    Raises:
        InapplicableError: the task needs data that nobody named, or the cell cannot be initialised as asked for.
        UserError: the cell or the initialisation cannot be built.
    """
    for key in FILES:
        if config.task.get(key, "") is None:
            raise InapplicableError(f"task={config.task['name']}: needs data of yours; task.{key}=... says where it is")
    check_init(config, varied)
