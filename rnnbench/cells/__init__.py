"""Recurrent cells, one in each file, and the unroll over time that they all share.

`base` and `gates` define what a cell is, `unroll` runs one over time, and `gated_scan` computes the gradient of cells
written gate by gate.
Imports JAX and Flax, and from this package only annotations and messages of `config`.
"""

from rnnbench.cells.activations import identity, relu, sigmoid, tanh
from rnnbench.cells.base import CellOptions, GatedCell
from rnnbench.cells.gates import Drive, Gate, Gates
from rnnbench.cells.gru import GRU
from rnnbench.cells.initializers import chrono, identity_matrix
from rnnbench.cells.lstm import LSTM
from rnnbench.cells.unroll import plain_unroll, unroll
from rnnbench.cells.vanilla import VanillaRNN

__all__ = [
    "GRU",
    "LSTM",
    "CellOptions",
    "Drive",
    "Gate",
    "GatedCell",
    "Gates",
    "VanillaRNN",
    "chrono",
    "identity",
    "identity_matrix",
    "plain_unroll",
    "relu",
    "sigmoid",
    "tanh",
    "unroll",
]
