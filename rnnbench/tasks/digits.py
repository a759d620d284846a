"""Handwritten digits, read pixel by pixel."""

from typing import ClassVar, Literal

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, PRNGKeyArray

from rnnbench.tasks.base import Example, Task


class Digits(Task):
    """Name the digit after reading its 8x8 image one pixel at a time, row by row: a real and small sequential MNIST.

    The images are the 1,797 that come with scikit-learn (`load_digits`; test part of the UCI set of Alpaydin &
    Kaynak 1998), their 17 grey values divided by 16. In the order of the file, every fifth image of each
    digit belongs to the test set (355 in all); training draws from the others with replacement.

        inputs   0  0  .31  .81  .56  .06  0  0 | 0  0  .81  .94  .62  .94  .31  0 | ...      64 steps
        target   0

    The loss is the cross-entropy of the output after the last step, in nats; `accuracy` is the share of right answers.
    Chance: always predicting the most frequent test digit (.10), or the digits' frequencies (loss 2.30).
    Solved: accuracy of at least .95.

    After Le, Jaitly & Hinton 2015 (MNIST, 784 steps).

    Args:
        permuted: read the pixels in a fixed random order, which tears neighbours apart.
    """

    in_features = 1
    out_features = 10
    last_step_only = True
    score: ClassVar[str] = "accuracy"
    score_goal: ClassVar[Literal["max", "min"]] = "max"

    def __init__(self, permuted: bool = False) -> None:
        # Each takes half a second to import, which the other tasks do not need.
        import pandas as pd
        from sklearn.datasets import load_digits

        images, labels = load_digits(return_X_y=True)
        self.length = images.shape[1]
        order = jax.random.permutation(jax.random.key(0), self.length) if permuted else np.arange(self.length)
        self._images = (images[:, np.asarray(order), None] / 16).astype(np.float32)
        self._labels = labels.astype(np.int32)
        place = pd.Series(labels).groupby(labels).cumcount().to_numpy()  # of an image among those of its digit
        self.test_images = np.flatnonzero(place % 5 == 4)
        self.training_images = np.flatnonzero(place % 5 != 4)

    def example(self, key: PRNGKeyArray) -> Example:
        number = jax.random.randint(key, (), 0, len(self.training_images))
        return self._read(jnp.asarray(self.training_images)[number])

    def _read(self, image: Array) -> Example:
        return Example(
            inputs=jnp.asarray(self._images)[image],
            targets=jnp.asarray(self._labels)[image],
            mask=jnp.ones(self.length, bool),
            info={},
        )

    def loss(self, outputs: Float[Array, " out"], example: Example) -> Float[Array, ""]:
        return optax.softmax_cross_entropy_with_integer_labels(outputs, example.targets)

    def metrics(self, outputs: Float[Array, " out"], example: Example) -> dict[str, Float[Array, ""]]:
        return {"accuracy": jnp.float32(jnp.argmax(outputs) == example.targets)}

    def chance(self) -> dict[str, float]:
        frequency = np.bincount(self._labels[self.test_images]) / len(self.test_images)
        return {"loss": float(-np.sum(frequency * np.log(frequency))), "accuracy": float(frequency.max())}

    def solved(self, summary: dict[str, float]) -> bool:
        return summary["accuracy"] >= 0.95

    def test_set(self, size: int) -> Example:
        """Returns all test images, whatever `size` is."""
        del size
        return jax.jit(jax.vmap(self._read))(jnp.asarray(self.test_images))

    def probe_set(self, size: int) -> Example:
        """Returns the first `size` test images."""
        return jax.jit(jax.vmap(self._read))(jnp.asarray(self.test_images[:size]))
