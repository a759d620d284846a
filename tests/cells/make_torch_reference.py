"""Creates `data/torch_reference.npz`: PyTorch's RNN, LSTM and GRU on small random sequences, in float64.

    pip install torch numpy
    python tests/cells/make_torch_reference.py

The committed file was made with torch 2.13.0; nothing else needs torch. Its arrays are named `<layer>.<name>`:
the inputs x `(time, batch, features)`, the initial states h0 (and c0), the outputs y, the weights under torch's
names, and `grad.<name>`, the gradient of sum(sin(y)) with respect to each of these.
"""

from pathlib import Path

import numpy as np
import torch

TIME, BATCH, FEATURES, HIDDEN = 5, 2, 3, 4
LAYERS = {
    "rnn_tanh": lambda: torch.nn.RNN(FEATURES, HIDDEN, nonlinearity="tanh"),
    "rnn_relu": lambda: torch.nn.RNN(FEATURES, HIDDEN, nonlinearity="relu"),
    "lstm": lambda: torch.nn.LSTM(FEATURES, HIDDEN),
    "gru": lambda: torch.nn.GRU(FEATURES, HIDDEN),
}


def main() -> None:
    torch.manual_seed(0)
    arrays = {}
    for name, make in LAYERS.items():
        layer = make().double()
        states = ("h0", "c0") if name == "lstm" else ("h0",)
        given = {"x": torch.randn(TIME, BATCH, FEATURES, dtype=torch.float64)}
        given |= {state: torch.randn(1, BATCH, HIDDEN, dtype=torch.float64) for state in states}
        for tensor in given.values():
            tensor.requires_grad_()
        first = tuple(given[state] for state in states)
        y, _ = layer(given["x"], first if len(first) > 1 else first[0])
        torch.sin(y).sum().backward()

        arrays[f"{name}.y"] = y.detach().numpy()
        for key, tensor in (given | dict(layer.named_parameters())).items():
            arrays[f"{name}.{key}"] = tensor.detach().numpy()
            arrays[f"{name}.grad.{key}"] = tensor.grad.numpy()
    np.savez_compressed(Path(__file__).parent / "data" / "torch_reference.npz", **arrays)


if __name__ == "__main__":
    main()
