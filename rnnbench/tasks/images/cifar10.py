"""CIFAR-10, read pixel by pixel or row by row."""

from pathlib import Path

import numpy as np

from rnnbench.tasks.images.base import By, ImageClassification, Images

CLASSES = 10
SIDE, CHANNELS = 32, 3
RECORD = 1 + CHANNELS * SIDE * SIDE
"""Bytes of an image in a file: its label, then all red, all green and all blue values."""

FILES = {"training": [f"data_batch_{number}.bin" for number in range(1, 6)], "test": ["test_batch.bin"]}


class CIFAR10(ImageClassification):
    """Name what is on a 32x32 colour image after reading it step by step.

    The images are those of the binary version of CIFAR-10 in a folder of yours: `data_batch_1.bin` to
    `data_batch_5.bin` for training and `test_batch.bin` for the test. Nothing is downloaded.

        inputs   .62 .44 .19,  .62 .44 .18,  ...      1,024 steps of red, green and blue
        target   3 (a cat)

    The loss is the cross-entropy of the output after the last step, in nats; `accuracy` is the share of right answers.
    Chance: accuracy .10, as all classes are equally frequent. Solved: accuracy of at least .8.

    Krizhevsky 2009; read pixel by pixel by Trinh et al. 2018.

    Args:
        path: the folder with the six files.
        by: what a step reads: a pixel (1,024 steps) or a row (32 steps).
        permuted: whether the steps come in a fixed random order, the same for all images.

    Raises:
        ValueError: there is no folder, or a file is missing, cut short, or foreign.
    """

    def __init__(self, path: str | None = None, by: By = "pixel", permuted: bool = False) -> None:
        if path is None:
            raise ValueError("path: expected a folder with the binary version of CIFAR-10, got none")
        folder = Path(path).expanduser()
        training, test = (_read([folder / name for name in names]) for names in FILES.values())
        super().__init__(training, test, CLASSES, white=255.0, by=by, permuted=permuted)

    def solved(self, summary: dict[str, float]) -> bool:
        return summary["accuracy"] >= 0.8


def _read(paths: list[Path]) -> Images:
    """Returns the images of several files.

    Raises:
        ValueError: a file is missing or wrong.
    """
    records = []
    for path in paths:
        if not path.is_file():
            raise ValueError(f"path: there is no file {path.name} in {path.parent}")
        content = np.frombuffer(path.read_bytes(), np.uint8)
        if len(content) == 0 or len(content) % RECORD:
            raise ValueError(f"{path}: expected images of {RECORD} bytes each, got {len(content)} bytes")
        records.append(content.reshape(-1, RECORD))
        if records[-1][:, 0].max() >= CLASSES:
            raise ValueError(f"{path}: expected labels from 0 to {CLASSES - 1}, got {records[-1][:, 0].max()}")
    images = np.concatenate(records)
    pixels = images[:, 1:].reshape(-1, CHANNELS, SIDE, SIDE).transpose(0, 2, 3, 1)
    return Images(pixels, images[:, 0].astype(np.int32))
