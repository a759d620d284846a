"""Sequences of your own, from files."""

from pathlib import Path
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from rnnbench.tasks.base import Example, Outputs, Task
from rnnbench.tasks.sequence_files import Sequences, read_sequences


class UserData(Task):
    """Learn the targets of sequences in files of yours: `task.path` for training, `task.test_path` for the test.

    A file is a NumPy archive (`.npz`) with an array for each column, or a Parquet file. Its columns, whose names can be
    chosen:

    - `inputs`: whole numbers are token ids from 0 on, `(sequences, time)`; other numbers are features, `(sequences,
      time)` or `(sequences, time, features)`. In Parquet, lists, or lists of lists, which may differ in length.
    - `targets`: whole numbers are classes from 0 on, other numbers are to be predicted; `(sequences,)` for an answer
      after the last step, or `(sequences, time)` for one at every step.
    - `lengths` `(sequences,)`: optional; the number of real steps of each sequence, the others being padding.

    For example, two sequences of tokens with a class each, of which the second has two steps:

        numpy.savez("train.npz", inputs=[[3, 1, 2], [0, 2, 0]], targets=[1, 0], lengths=[3, 2])

    Training draws sequences with replacement; the test set is the whole file, whatever its size is said to be. For
    classes, the loss is the mean cross-entropy, in nats, and the score the accuracy; otherwise both are the mean
    squared error.
    Chance: the accuracy of the most frequent class of the test, or the variance of its targets.
    Solved: never, as nobody knows what can be reached: accuracy 1, or an mse of 0.

    Args:
        path: the file for training.
        test_path: the file for the test.
        inputs: the name of the column of inputs.
        targets: the name of the column of targets.
        lengths: the name of the column of lengths; without one, every step is real, or in Parquet every one of a list.

    Raises:
        ValueError: a file or a column is missing, or they are not as described.
    """

    def __init__(
        self,
        path: str | None = None,
        test_path: str | None = None,
        inputs: str = "inputs",
        targets: str = "targets",
        lengths: str | None = None,
    ) -> None:
        names = {"inputs": inputs, "targets": targets, "lengths": lengths}
        for name, value in (("path", path), ("test_path", test_path)):
            if value is None:
                raise ValueError(f"{name}: expected a .npz or .parquet file, got none")
        training, test = (read_sequences(Path(str(file)).expanduser(), names) for file in (path, test_path))
        for what in ("inputs", "targets"):
            one, other = getattr(training, what), getattr(test, what)
            if one.ndim != other.ndim or one.shape[2:] != other.shape[2:] or one.dtype.kind != other.dtype.kind:
                raise ValueError(
                    f"{what}: expected the same kind of values in both files, got {one.dtype} with {one.ndim} axes and "
                    f"{other.dtype} with {other.ndim}"
                )
        self.training, self.test = training, test
        self.length = training.inputs.shape[1]
        highest = {what: int(max(getattr(s, what).max() for s in (training, test))) for what in ("inputs", "targets")}
        if training.inputs.dtype.kind == "i":
            self.vocab_size = highest["inputs"] + 1
        else:
            self.in_features = training.inputs.shape[2]
        self.classes = training.targets.dtype.kind == "i"
        self.out_features = max(highest["targets"] + 1, 2) if self.classes else 1
        self.last_step_only = training.targets.ndim == 1  # type: ignore[misc]
        self.score = "accuracy" if self.classes else "mse"  # type: ignore[misc]
        self.score_goal: Literal["max", "min"] = "max" if self.classes else "min"  # type: ignore[misc]

    def example(self, key: PRNGKeyArray) -> Example:
        return self._read(self.training, jax.random.randint(key, (), 0, len(self.training.lengths)))

    def _read(self, sequences: Sequences, number: Int[Array, ""]) -> Example:
        length = jnp.asarray(sequences.lengths)[number]
        return Example(
            inputs=jnp.asarray(sequences.inputs)[number],
            targets=jnp.asarray(sequences.targets)[number],
            mask=jnp.arange(sequences.inputs.shape[1]) < length,
            info={"length": length},
        )

    breakdowns = ("length",)

    def test_set(self, size: int) -> Example:
        """Returns all sequences of the test, whatever `size` is."""
        del size
        return self._first(len(self.test.lengths))

    def probe_set(self, size: int) -> Example:
        """Returns the first `size` of those test sequences that are as long as the longest."""
        longest = np.flatnonzero(self.test.lengths == self.test.lengths.max())[:size]
        return jax.jit(jax.vmap(lambda number: self._read(self.test, number)))(jnp.asarray(longest))

    def _first(self, count: int) -> Example:
        return jax.jit(jax.vmap(lambda number: self._read(self.test, number)))(jnp.arange(count))

    def _mean(self, values: Float[Array, "..."], example: Example) -> Float[Array, ""]:
        if self.last_step_only:
            return values
        return jnp.sum(jnp.where(example.mask, values, 0.0)) / jnp.sum(example.mask, dtype=values.dtype)

    def loss(self, outputs: Outputs, example: Example) -> Float[Array, ""]:
        if self.classes:
            losses = optax.softmax_cross_entropy_with_integer_labels(outputs, example.targets)
        else:
            losses = (outputs[..., 0] - example.targets) ** 2
        return self._mean(losses, example)

    def metrics(self, outputs: Outputs, example: Example) -> dict[str, Float[Array, ""]]:
        if not self.classes:
            return {"mse": self.loss(outputs, example)}
        return {"accuracy": self._mean(jnp.float32(jnp.argmax(outputs, axis=-1) == example.targets), example)}

    def chance(self) -> dict[str, float]:
        """Returns the level of always giving the answer that is best over the test; each sequence counts the same."""
        steps = self.test.targets.reshape(len(self.test.lengths), -1)
        real = np.ones_like(steps, bool) if self.last_step_only else _real(self.test)
        weights = real / real.sum(axis=1, keepdims=True) / len(real)
        if self.classes:
            frequency = np.bincount(steps.ravel(), weights.ravel())
            present = frequency[frequency > 0]
            return {"loss": float(-np.sum(present * np.log(present))), "accuracy": float(frequency.max())}
        mean = float(np.sum(weights * steps))
        variance = float(np.sum(weights * (steps - mean) ** 2))
        return {"loss": variance, "mse": variance}

    def solved(self, summary: dict[str, float]) -> bool:
        return summary["accuracy"] == 1 if self.classes else summary["mse"] == 0


def _real(sequences: Sequences) -> Bool[np.ndarray, "sequences time"]:
    return np.arange(sequences.inputs.shape[1])[None, :] < sequences.lengths[:, None]
