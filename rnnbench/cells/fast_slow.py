"""The fast-slow LSTM, which is made of three LSTMs."""

from typing import Any, ClassVar, Unpack

from flax import nnx
from jaxtyping import Array, Float

from rnnbench.cells.base import CellOptions, Number, States
from rnnbench.cells.lstm import LSTM


class FastSlowLSTM(nnx.RNNCellBase):
    r"""Fast-slow RNN with two fast cells, FS-LSTM-2 (Mujika et al. 2017).

        (h_1, c_1) = F_1((h, c), x)             first fast cell
        (s', d')   = S((s, d), h_1)             slow cell
        (h', c')   = F_2((h_1, c_1), s')        second fast cell

    F_1, S and F_2 are LSTMs (`LSTM`). In a step, the fast state passes through two cells, and the slow state through
    one, so the way of a gradient along the slow state is half as long. Layer normalisation and zoneout of the paper are
    left out.
    """

    states: ClassVar = ("h", "c", "s", "d")

    def __init__(
        self,
        in_features: int,
        hidden_features: int,
        *,
        forget_bias: Number = 1.0,
        **options: Unpack[CellOptions],
    ):
        """Creates the parameters.

        Args:
            in_features: width of the input.
            hidden_features: width of every state.
            forget_bias: initial value of the forget gates' biases.
            options: the other options of `GatedCell`, for each of the three cells.
        """
        self.in_features, self.hidden_features = in_features, hidden_features

        def make(width: int) -> LSTM:
            return LSTM(width, hidden_features, forget_bias=forget_bias, **options)

        self.first, self.slow, self.second = make(in_features), make(hidden_features), make(hidden_features)

    def initialize_carry(self, input_shape: tuple[int, ...], rngs: Any = None, carry_init: Any = None) -> States:
        """Returns (h, c, s, d) before the first step, as `GatedCell.initialize_carry`."""
        fast, slow = (cell.initialize_carry(input_shape, rngs, carry_init) for cell in (self.first, self.slow))
        return (*fast, *slow)

    def __call__(self, carry: States, inputs: Float[Array, "*b features"]) -> tuple[States, Float[Array, "*b hidden"]]:
        """Returns (h', c', s', d') and h'."""
        fast, h = self.first(carry[:2], inputs)
        slow, s = self.slow(carry[2:], h)
        fast, h = self.second(fast, s)
        return (*fast, *slow), h

    @property
    def num_feature_axes(self) -> int:
        """Number of feature axes of the input, which `flax.nnx.RNN` asks for."""
        return 1
