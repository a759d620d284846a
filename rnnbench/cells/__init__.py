"""Recurrent cells, one in each file, and the unroll over time that they all share.

`base` and `gates` define what a cell is, `unroll` runs one over time, and `gated_scan` computes the gradient of cells
written gate by gate.
Imports JAX and Flax, and from this package only annotations and messages of `config`.
"""

from rnnbench.cells.activations import identity, relu, sigmoid, tanh
from rnnbench.cells.antisymmetric import AntisymmetricRNN
from rnnbench.cells.base import CellOptions, GatedCell
from rnnbench.cells.clockwork import ClockworkRNN
from rnnbench.cells.cornn import CoRNN
from rnnbench.cells.exprnn import ExpRNN
from rnnbench.cells.fast_slow import FastSlowLSTM
from rnnbench.cells.gates import Drive, Gate, Gates
from rnnbench.cells.gru import GRU
from rnnbench.cells.indrnn import IndRNN
from rnnbench.cells.initializers import chrono, identity_matrix
from rnnbench.cells.janet import JANET
from rnnbench.cells.layer_norm_lstm import LayerNormLSTM
from rnnbench.cells.leaky import LeakyRNN
from rnnbench.cells.lem import LEM
from rnnbench.cells.linear import LinearCell
from rnnbench.cells.lru import LRU
from rnnbench.cells.lstm import LSTM
from rnnbench.cells.lstm_variant import LSTMVariant
from rnnbench.cells.mgu import MGU
from rnnbench.cells.min_gru import MinGRU
from rnnbench.cells.min_lstm import MinLSTM
from rnnbench.cells.projected_lstm import ProjectedLSTM
from rnnbench.cells.s4d import S4D
from rnnbench.cells.scrn import SCRN
from rnnbench.cells.slstm import SLSTM
from rnnbench.cells.sru import SRU
from rnnbench.cells.unroll import plain_unroll, unroll
from rnnbench.cells.vanilla import VanillaRNN

__all__ = [
    "GRU",
    "JANET",
    "LEM",
    "LRU",
    "LSTM",
    "MGU",
    "S4D",
    "SCRN",
    "SLSTM",
    "SRU",
    "AntisymmetricRNN",
    "CellOptions",
    "ClockworkRNN",
    "CoRNN",
    "Drive",
    "ExpRNN",
    "FastSlowLSTM",
    "Gate",
    "GatedCell",
    "Gates",
    "IndRNN",
    "LSTMVariant",
    "LayerNormLSTM",
    "LeakyRNN",
    "LinearCell",
    "MinGRU",
    "MinLSTM",
    "ProjectedLSTM",
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
