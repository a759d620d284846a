"""Builds the models of a population, which differ only in numbers."""

import functools
from collections.abc import Collection
from typing import cast

import jax
from flax import nnx
from jaxtyping import PRNGKeyArray, PyTree

from rnnbench.cells.linear import Method, check_method
from rnnbench.config.objects import blame, partial
from rnnbench.config.schema import CELL_ARGUMENTS, Config
from rnnbench.dropout import check_dropout
from rnnbench.errors import UserError
from rnnbench.model import Model
from rnnbench.tasks.base import Task
from rnnbench.training.optimizer import numbers_of
from rnnbench.training.size import hidden_size, parameters, state_size
from rnnbench.training.step import Numbers, Structure


class Builder:
    """Builds the model of any member of a population.

    Attributes:
        hidden_size: the width of the recurrent layers.
        template: the members' model, with shapes and types in place of arrays.
    """

    def __init__(self, config: Config, task: Task):
        """Finds the hidden size and the structure of the models.

        Args:
            config: the configuration of any member.
            task: determines the widths of inputs and outputs.

        Raises:
            UserError: the cell cannot be built, or does not fit the other keys.
        """
        self._config, self._task, self._init = config.model, task, config.init
        self._make_cell = partial(config.model.cell, "model.cell", given=CELL_ARGUMENTS)
        if config.model.bidirectional and task.causal:
            raise UserError(
                f"model.bidirectional: expected false for {config.task['name']}, whose later inputs contain the answers"
            )
        with blame("model.cell"):
            self.hidden_size = hidden_size(config.model, self._abstract)
            self.template = self._abstract(self.hidden_size)
        if not isinstance(cell := self.template.layers[0], nnx.RNNCellBase):
            raise UserError(
                f"model.cell._target_: expected a subclass of flax.nnx.RNNCellBase, got {type(cell).__name__}"
            )
        with blame("model"):
            check_method(cell, cast(Method | None, config.model.unroll))
        self._structure = _structure(self.template)
        if self._structure.constants:  # another library's cell may have random states, say
            self._structure = _structure(self._build(jax.random.key(0), {}, self.hidden_size))

    def check(self, config: Config, folded: Collection[str]) -> None:
        """Refuses a member whose own numbers do not fit its cell: they are traced later, and cannot be checked then.

        Args:
            config: the member's configuration.
            folded: the keys in which members differ.

        Raises:
            UserError: a number is not valid.
        """
        if config.model.bidirectional and config.train.omega:
            raise UserError(
                "train.omega: expected 0 for a bidirectional model, whose backward cells it would leave out, got "
                f"{config.train.omega}"
            )
        with blame("model"):
            check_dropout(self.template.layers[0], config.model.recurrent_dropout)
        if any(key.startswith("model.cell.") for key in folded):
            make_cell = partial(config.model.cell, "model.cell", given=CELL_ARGUMENTS)
            with blame("model.cell"):
                nnx.eval_shape(lambda: make_cell(1, self.hidden_size, rngs=nnx.Rngs(0)))

    @property
    def sizes(self) -> dict[str, int]:
        """Returns the columns of the runs table that say how large the model is."""
        return {
            "model.hidden_size": self.hidden_size,
            "size.parameters": parameters(self.template),
            "size.state_size": state_size(self.template),
        }

    def params(self, key: PRNGKeyArray, numbers: Numbers) -> PyTree:
        """Returns a member's initial parameters."""
        return nnx.to_pure_dict(nnx.state(self._build(key, numbers, self.hidden_size), nnx.Param))

    def structure(self, numbers: Numbers) -> Structure:
        """Returns the structure of a member's model, whose cells may keep some of the member's numbers."""
        if not numbers_of(numbers, "model.cell"):
            return self._structure
        return _structure(self._build(jax.random.key(0), numbers, self.hidden_size))

    def model(self, params: PyTree, numbers: Numbers) -> Model:
        """Returns the model with one member's parameters and numbers."""
        return self.structure(numbers).model(params)

    def _abstract(self, hidden_size: int) -> Model:
        """Returns the model of a hidden size, with shapes and types in place of arrays."""
        return nnx.eval_shape(lambda: self._build(jax.random.key(0), {}, hidden_size))

    def _build(self, key: PRNGKeyArray, numbers: Numbers, hidden_size: int) -> Model:
        config = self._config
        rngs = nnx.Rngs(key)
        model = Model(
            functools.partial(self._make_cell, **numbers_of(numbers, "model.cell")),
            self._task,
            hidden_size=hidden_size,
            num_layers=config.num_layers,
            embedding_size=config.embedding_size,
            residual=config.residual,
            layer_norm=config.layer_norm,
            bidirectional=config.bidirectional,
            tie_embedding=config.tie_embedding,
            remat_every=config.remat_every,
            method=cast(Method | None, config.unroll),
            rngs=rngs,
        )
        if self._init is not None:
            with blame("init"):
                initialize = partial(self._init, "init")(**numbers_of(numbers, "init"))
                for cell in model.cells:
                    initialize(cell, rngs)
        return model


def _structure(model: Model) -> Structure:
    graphdef, _, others = nnx.split(model, nnx.Param, ...)  # type: ignore[misc]
    return Structure(graphdef, others)
