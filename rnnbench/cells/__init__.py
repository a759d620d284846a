"""Recurrent cells, a cell a file, and the unroll over time that serves them all.

`base` and `gates` say what a cell is, `unroll` runs one over time, `gated_scan` has the gradient for cells written by
gate.
Imports JAX and Flax, and of this package what `config` says of annotations and messages.
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
