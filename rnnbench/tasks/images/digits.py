"""Handwritten digits, read pixel by pixel."""

import numpy as np

from rnnbench.tasks.images.base import ImageClassification, Images, apart


class Digits(ImageClassification):
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

    def __init__(self, permuted: bool = False) -> None:
        from sklearn.datasets import load_digits  # takes half a second, which the other tasks do not need

        pixels, labels = load_digits(return_X_y=True)
        training, test = apart(Images(pixels.astype(np.uint8).reshape(-1, 8, 8, 1), labels.astype(np.int32)))
        super().__init__(training, test, classes=10, white=16.0, permuted=permuted)

    def solved(self, summary: dict[str, float]) -> bool:
        return summary["accuracy"] >= 0.95
