"""Recurrent cells, a cell a file, and the unroll over time that serves them all.

`base` says what a cell is, `unroll` runs one over time, `gated_scan` has the gradient for cells written by gate.
Imports JAX, Flax and `config.annotations`, and nothing else of this package.
"""

from rnnbench.cells.activations import identity, relu, sigmoid, tanh
from rnnbench.cells.base import Deferred, Drive, GatedCell, Gates
from rnnbench.cells.gru import GRU
from rnnbench.cells.initializers import chrono, constant, identity_matrix
from rnnbench.cells.lstm import LSTM
from rnnbench.cells.unroll import plain_unroll, unroll
from rnnbench.cells.vanilla import VanillaRNN

__all__ = [
    "GRU",
    "LSTM",
    "Deferred",
    "Drive",
    "GatedCell",
    "Gates",
    "VanillaRNN",
    "chrono",
    "constant",
    "identity",
    "identity_matrix",
    "plain_unroll",
    "relu",
    "sigmoid",
    "tanh",
    "unroll",
]
