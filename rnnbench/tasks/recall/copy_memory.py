"""The copy memory task."""

import math
from typing import ClassVar, Literal

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int, PRNGKeyArray

from rnnbench.tasks.base import Example, Task


class CopyMemory(Task):
    """Repeat the symbols seen at the start, in order, when a delimiter asks for them.

    With 3 symbols of an alphabet of 8, and `length` 4 (`.` is the blank, `:` the delimiter):

        inputs   5 1 7 . . . : . . .
        targets  . . . . . . . 5 1 7

    The standard form (Arjovsky et al. 2016; Tallec & Ollivier 2018): 10 symbols, T - 1 blanks, one delimiter, 10
    blanks; the target is T + 10 blanks, then the symbols. The other forms have the same length and target: form "bai"
    (Bai et al. 2018) has delimiters instead of the last blanks (`5 1 7 . . . : : : :`); in form "exprnn"
    (Lezcano-Casado & Martinez-Rubio 2019) the delimiter comes one step later, at the first symbol to be
    recalled (`5 1 7 . . . . : . .`).

    Token 0 is the blank, 1 to `alphabet` are the symbols, `alphabet` + 1 is the delimiter, which is never an output.
    The loss is the mean cross-entropy of all steps, in nats; with `scored="recall"` (Gu et al. 2022), only of the
    recalled symbols. `recall_accuracy` is the share of recalled symbols that are right; blanks do not count.
    `distance`, the same for all, is the number of steps from a symbol to its recall.
    Chance: recall accuracy 1 / alphabet = .125; loss symbols * ln(alphabet) / (T + 2 * symbols), for a model that
    predicts every blank and no symbol (.1733 at T = 100), or ln(alphabet) over the recalled symbols only.
    Solved: recall accuracy of at least .99.

    Args:
        length: T, the steps between the end of the symbols and their recall.
        symbols: number of symbols to remember.
        alphabet: number of kinds of symbols.
        form: "standard", "bai" or "exprnn".
        scored: what the loss covers: "all" steps, or only the "recall".

    Raises:
        ValueError: a size is too small, or there is no such form or loss.
    """

    score: ClassVar[str] = "recall_accuracy"
    score_goal: ClassVar[Literal["max", "min"]] = "max"
    breakdowns = ("distance",)

    def __init__(
        self,
        length: int = 100,
        symbols: int = 10,
        alphabet: int = 8,
        form: Literal["standard", "bai", "exprnn"] = "standard",
        scored: Literal["all", "recall"] = "all",
    ) -> None:
        for name, value, smallest in (("length", length, 1), ("symbols", symbols, 1), ("alphabet", alphabet, 2)):
            if value < smallest:
                raise ValueError(f"{name}: expected at least {smallest}, got {value}")
        if form not in ("standard", "bai", "exprnn"):
            raise ValueError(f"form: expected 'standard', 'bai' or 'exprnn', got {form!r}")
        if scored not in ("all", "recall"):
            raise ValueError(f"scored: expected 'all' or 'recall', got {scored!r}")
        self.symbols = symbols
        self.alphabet = alphabet
        self.form = form
        self.scored = scored
        self.distance = length + symbols
        self.length = length + 2 * symbols
        self.vocab_size = alphabet + 2
        self.out_features = alphabet + 1

    def example(self, key: PRNGKeyArray) -> Example:
        memory = jax.random.randint(key, (self.symbols,), 1, self.alphabet + 1)
        wait = jnp.zeros(self.distance, memory.dtype)
        delimiter = self.alphabet + 1
        inputs = jnp.concatenate([memory, wait])
        match self.form:
            case "standard":
                inputs = inputs.at[self.distance - 1].set(delimiter)
            case "exprnn":
                inputs = inputs.at[self.distance].set(delimiter)
            case "bai":
                inputs = inputs.at[self.distance - 1 :].set(delimiter)
        return Example(
            inputs=inputs,
            targets=jnp.concatenate([wait, memory]),
            mask=jnp.ones(self.length, bool),
            info={"distance": jnp.int32(self.distance), "cue": jnp.arange(self.length) < self.symbols},
        )

    def loss(self, outputs: Float[Array, "time out"], example: Example) -> Float[Array, ""]:
        if self.scored == "recall":
            return self.probe_loss(outputs, example)
        return jnp.mean(optax.softmax_cross_entropy_with_integer_labels(outputs, example.targets))

    def probe_loss(self, outputs: Float[Array, "time out"], example: Example) -> Float[Array, ""]:
        """Returns the mean cross-entropy of the recalled symbols only."""
        recalled, symbols = outputs[self.distance :], example.targets[self.distance :]
        return jnp.mean(optax.softmax_cross_entropy_with_integer_labels(recalled, symbols))

    def metrics(self, outputs: Float[Array, "time out"], example: Example) -> dict[str, Float[Array, ""]]:
        recalled = jnp.argmax(outputs[self.distance :], axis=-1)
        return {"recall_accuracy": jnp.mean(jnp.float32(recalled == example.targets[self.distance :]))}

    def read_inputs(self, inputs: Int[np.ndarray, " time"]) -> dict[str, list[str]]:
        names = [".", *map(str, range(1, self.alphabet + 1)), ":"]
        return {"inputs": [names[token] for token in inputs]}

    def read_targets(self, example: Example) -> list[str]:
        return [str(symbol) if symbol else "." for symbol in example.targets]

    def chance(self) -> dict[str, float]:
        share = 1.0 if self.scored == "recall" else self.symbols / self.length
        return {"loss": share * math.log(self.alphabet), "recall_accuracy": 1 / self.alphabet}

    def solved(self, summary: dict[str, float]) -> bool:
        return summary["recall_accuracy"] >= 0.99
