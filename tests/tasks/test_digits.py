import jax
import numpy as np
import pytest
import scipy.stats
from sklearn.datasets import load_digits

from rnnbench.tasks import Digits
from rnnbench.testing import check_task


@pytest.fixture(scope="module")
def task():
    return Digits()


def test_contract(task):
    check_task(task)


def test_split_is_stratified_and_complete(task):
    images, labels = load_digits(return_X_y=True)
    split = [part.pixels.reshape(-1, 64) for part in (task.training, task.test)]
    assert sorted(map(tuple, np.concatenate(split).tolist())) == sorted(map(tuple, images.astype(int).tolist()))
    shares = np.bincount(task.test.labels) / np.bincount(labels)
    np.testing.assert_allclose(shares, 0.2, atol=0.005)
    chosen = [np.flatnonzero(labels == digit)[4::5] for digit in range(10)]
    is_test = np.sort(np.concatenate(chosen))
    test = task.test_set(1)
    assert len(test.targets) == len(is_test) == 355
    np.testing.assert_array_equal(test.targets, labels[is_test])
    np.testing.assert_allclose(test.inputs[..., 0], images[is_test] / 16)
    assert len(task.probe_set(8).targets) == 8


def test_chance_is_the_most_frequent_digit(task):
    _, counts = np.unique(task.test.labels, return_counts=True)
    chance = task.chance()
    assert chance["accuracy"] == counts.max() / counts.sum()
    assert chance["loss"] == pytest.approx(scipy.stats.entropy(counts))


def test_training_draws_training_images_only(task):
    batch = jax.jit(jax.vmap(task.example))(jax.random.split(jax.random.key(0), 20_000))
    images = {np.asarray(image).tobytes() for image in np.float32(task.training.pixels.reshape(-1, 64) / 16)}
    drawn = {image.tobytes() for image in np.asarray(batch.inputs[..., 0])}
    assert drawn == images


def test_permuted_reads_the_same_pixels_in_another_order(task):
    plain, permuted = task.test_set(1).inputs[..., 0], Digits(permuted=True).test_set(1).inputs[..., 0]
    assert not np.array_equal(plain, permuted)
    np.testing.assert_array_equal(np.sort(plain, axis=1), np.sort(permuted, axis=1))
    # All images share one permutation.
    assert sorted(map(tuple, np.asarray(plain).T.tolist())) == sorted(map(tuple, np.asarray(permuted).T.tolist()))
