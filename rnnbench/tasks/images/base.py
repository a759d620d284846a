"""What the tasks that read images share."""

from typing import ClassVar, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int, PRNGKeyArray, Shaped

from rnnbench.tasks.base import Example, Task

By = Literal["pixel", "row"]


class Images(NamedTuple):
    """Images with their classes, of the training set or of the test set.

    Attributes:
        pixels: grey or colour values.
        labels: the class of each image.
    """

    pixels: Shaped[np.ndarray, "images height width channels"]
    labels: Int[np.ndarray, " images"]


def apart(images: Images) -> tuple[Images, Images]:
    """Returns images for training and for the test: in their order, every fifth of each class is for the test."""
    place = np.empty(len(images.labels), int)  # of an image among those of its class
    for label in np.unique(images.labels):
        own = np.flatnonzero(images.labels == label)
        place[own] = np.arange(len(own))
    is_test = place % 5 == 4
    training, test = (Images(images.pixels[chosen], images.labels[chosen]) for chosen in (~is_test, is_test))
    return training, test


class ImageClassification(Task):
    """Base class of tasks that name what is on an image after reading it step by step.

    Read by pixel, each step is a pixel with its channels, from the upper left, row by row; read by row, each step is a
    row. Training draws images with replacement; the test set is all test images, whatever its size is said to be. The
    loss is the cross-entropy of the output after the last step, in nats; `accuracy` is the share of right answers,
    which `label`, the number of the right class, breaks down.
    Chance: always naming the most frequent class of the test set, or the classes' frequencies.

    Attributes:
        training: the images that training draws.
        test: the images of the test set.
    """

    breakdowns = ("label",)
    last_step_only = True
    score: ClassVar[str] = "accuracy"
    score_goal: ClassVar[Literal["max", "min"]] = "max"

    def __init__(
        self, training: Images, test: Images, classes: int, white: float, by: By = "pixel", permuted: bool = False
    ) -> None:
        """Sets the attributes.

        Args:
            training: the images that training draws.
            test: the images of the test set.
            classes: number of classes.
            white: the largest value of a pixel, which becomes 1.
            by: what a step reads.
            permuted: whether the steps come in a fixed random order.

        Raises:
            ValueError: steps are neither pixels nor rows.
        """
        if by not in ("pixel", "row"):
            raise ValueError(f"by: expected 'pixel' or 'row', got {by!r}")
        _, height, width, channels = training.pixels.shape
        self.length = height * width if by == "pixel" else height
        self.in_features = channels if by == "pixel" else width * channels
        self.out_features = classes
        self.white = white
        order = jax.random.permutation(jax.random.key(0), self.length) if permuted else np.arange(self.length)
        self._order = np.asarray(order)
        self.training, self.test = training, test
        # As they are in their file: as bytes, they take a quarter of the memory of numbers.
        self._pixels = {kind: self._steps(images) for kind, images in (("training", training), ("test", test))}

    def _steps(self, images: Images) -> Shaped[np.ndarray, "images time features"]:
        return images.pixels.reshape(len(images.pixels), self.length, self.in_features)[:, self._order]

    def example(self, key: PRNGKeyArray) -> Example:
        return self._read("training", jax.random.randint(key, (), 0, len(self.training.labels)))

    def _read(self, kind: Literal["training", "test"], image: Int[Array, ""]) -> Example:
        images = self.training if kind == "training" else self.test
        label = jnp.asarray(images.labels, jnp.int32)[image]
        return Example(
            inputs=jnp.asarray(self._pixels[kind])[image].astype(jnp.float32) / self.white,
            targets=label,
            mask=jnp.ones(self.length, bool),
            info={"label": label},
        )

    def loss(self, outputs: Float[Array, " out"], example: Example) -> Float[Array, ""]:
        return optax.softmax_cross_entropy_with_integer_labels(outputs, example.targets)

    def metrics(self, outputs: Float[Array, " out"], example: Example) -> dict[str, Float[Array, ""]]:
        return {"accuracy": jnp.float32(jnp.argmax(outputs) == example.targets)}

    def chance(self) -> dict[str, float]:
        frequency = np.bincount(self.test.labels) / len(self.test.labels)
        present = frequency[frequency > 0]
        return {"loss": float(-np.sum(present * np.log(present))), "accuracy": float(frequency.max())}

    def test_set(self, size: int) -> Example:
        """Returns all test images, whatever `size` is."""
        del size
        return self._test_images(len(self.test.labels))

    def probe_set(self, size: int) -> Example:
        """Returns the first `size` test images."""
        return self._test_images(min(size, len(self.test.labels)))

    def _test_images(self, count: int) -> Example:
        return jax.jit(jax.vmap(lambda image: self._read("test", image)))(jnp.arange(count))
