"""Recurrent cells, and the unroll over time that serves them all."""

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
