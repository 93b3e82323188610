"""Tests of mnist, fashion-mnist and cifar10, on the real MNIST if it is there, and on small files of the formats."""

from __future__ import annotations

import hashlib
import importlib
import pickle
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from search.data import Data, load
from search.errors import EnvironmentFault, RequestError

REAL = Path(__file__).parents[3] / "shared" / "data"
# Published class counts of the 60,000 training and 10,000 test rows.
TRAIN_COUNTS = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
TEST_COUNTS = [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]


def write_idx(path: Path, values: np.ndarray) -> None:
    header = bytes([0, 0, 8, values.ndim]) + b"".join(size.to_bytes(4, "big") for size in values.shape)
    path.write_bytes(header + values.astype(np.uint8).tobytes())


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A root with MNIST and FashionMNIST of 100 training and 20 test rows, balanced."""
    rng = np.random.default_rng(0)
    for name in ("MNIST", "FashionMNIST"):
        folder = tmp_path / name / "raw"
        folder.mkdir(parents=True)
        for part, rows in (("train", 100), ("t10k", 20)):
            write_idx(folder / f"{part}-images-idx3-ubyte", rng.integers(0, 256, (rows, 28, 28)))
            write_idx(folder / f"{part}-labels-idx1-ubyte", np.arange(rows) % 10)
    return tmp_path


def images(root: Path, name: str, part: str) -> np.ndarray:
    bytes_ = (root / name / "raw" / f"{part}-images-idx3-ubyte").read_bytes()[16:]
    return np.frombuffer(bytes_, dtype=np.uint8).reshape(-1, 784)


@pytest.fixture(scope="module")
def mnist() -> Data:
    if not (REAL / "MNIST").is_dir():
        pytest.skip(f"no MNIST under {REAL}")
    return load("mnist", scale="unit", data_dir=REAL, offline=True)


def test_the_real_mnist_has_its_known_mean_deviation_and_class_counts(mnist: Data) -> None:
    official = torch.cat([mnist.x_train, mnist.x_val])
    assert official.shape == (60_000, 784)
    assert official.mean(dtype=torch.float64).item() == pytest.approx(0.1307, abs=5e-5)
    assert official.std().item() == pytest.approx(0.3081, abs=5e-5)
    assert torch.bincount(torch.cat([mnist.y_train, mnist.y_val])).tolist() == TRAIN_COUNTS
    assert torch.bincount(mnist.y_test).tolist() == TEST_COUNTS


def test_the_real_mnist_keeps_a_fifth_of_each_class_for_validation(mnist: Data) -> None:
    assert len(mnist.x_val) == pytest.approx(12_000, abs=5)
    assert np.abs(torch.bincount(mnist.y_val).numpy() - np.array(TRAIN_COUNTS) / 5).max() <= 0.5
    assert mnist.classes == tuple("0123456789")
    assert mnist.image_shape == (1, 28, 28)


def test_the_official_test_set_is_the_test_part_in_its_order(small: Path) -> None:
    data = load("mnist", scale="none", data_dir=small, offline=True)
    np.testing.assert_array_equal(data.x_test.numpy(), images(small, "MNIST", "t10k"))
    assert data.y_test.tolist() == [row % 10 for row in range(20)]


def test_validation_is_a_share_of_the_training_rows_which_it_does_not_overlap(small: Path) -> None:
    data = load("fashion-mnist", scale="none", split=(0.5, 0.3, 0.2), data_dir=small, offline=True)
    assert torch.bincount(data.y_val).tolist() == [3] * 10
    assert torch.bincount(data.y_train).tolist() == [7] * 10
    held = torch.cat([data.x_train, data.x_val]).numpy()
    official = images(small, "FashionMNIST", "train")
    np.testing.assert_array_equal(held[np.lexsort(held.T)], official[np.lexsort(official.T)])
    labels = {row.tobytes(): number % 10 for number, row in enumerate(official)}
    for x, y in zip(data.x_val.numpy().astype(np.uint8), data.y_val.tolist(), strict=True):
        assert labels[x.tobytes()] == y


def test_class_names_are_torchvisions(small: Path) -> None:
    classes = load("fashion-mnist", data_dir=small, offline=True).classes
    assert (classes[0], classes[9], len(classes)) == ("T-shirt/top", "Ankle boot", 10)


def test_standard_uses_one_mean_and_deviation_for_the_channel(small: Path) -> None:
    data = load("mnist", data_dir=small, offline=True)
    assert data.x_train.dtype == torch.float32
    assert data.x_train.mean().item() == pytest.approx(0, abs=1e-4)
    assert data.x_train.std(correction=0).item() == pytest.approx(1, abs=1e-4)
    assert len(set(data.inputs.scale.tolist())) == 1
    assert data.x_train.mean(dim=0).abs().max() > 0.01


def test_half_of_the_official_test_rows_may_validate(small: Path) -> None:
    data = load("mnist", scale="none", validation="half-of-test", data_dir=small, offline=True)
    np.testing.assert_array_equal(data.x_train.numpy(), images(small, "MNIST", "train"))
    assert data.y_train.tolist() == [row % 10 for row in range(100)]
    assert (len(data.x_val), len(data.x_test)) == (10, 10)
    official = images(small, "MNIST", "t10k")
    labels = {row.tobytes(): number % 10 for number, row in enumerate(official)}
    halves = torch.cat([data.x_val, data.x_test]).numpy().astype(np.uint8)
    assert {row.tobytes() for row in halves} == set(labels)
    assert [labels[row.tobytes()] for row in halves] == torch.cat([data.y_val, data.y_test]).tolist()
    again, other = (
        load("mnist", scale="none", validation="half-of-test", seed=seed, data_dir=small, offline=True)
        for seed in (0, 1)
    )
    assert again.fingerprint() == data.fingerprint() != other.fingerprint()


def test_all_official_test_rows_may_validate_and_test(small: Path) -> None:
    data = load("mnist", scale="none", validation="test", data_dir=small, offline=True)
    np.testing.assert_array_equal(data.x_train.numpy(), images(small, "MNIST", "train"))
    for x, y in ((data.x_val, data.y_val), (data.x_test, data.y_test)):
        np.testing.assert_array_equal(x.numpy(), images(small, "MNIST", "t10k"))
        assert y.tolist() == [row % 10 for row in range(20)]


def test_pixels_are_scaled_by_training_rows_wherever_validation_comes_from(small: Path) -> None:
    data = load("mnist", validation="half-of-test", data_dir=small, offline=True)
    assert data.x_train.mean().item() == pytest.approx(0, abs=1e-4)
    assert data.pixel_max == 255.0


def test_files_that_are_there_are_not_downloaded(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torchvision

    monkeypatch.setattr(torchvision.datasets.MNIST, "mirrors", ["http://127.0.0.1:9/"])
    assert len(load("mnist", data_dir=small).x_test) == 20


@pytest.fixture
def cifar(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, np.ndarray]:
    """Two batches and a test batch in CIFAR-10's format, known to torchvision by their checksums."""
    import torchvision

    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    rng = np.random.default_rng(0)
    arrays, sums = {}, {}
    for name in ("data_batch_1", "data_batch_2", "test_batch"):
        arrays[name] = rng.integers(0, 256, (30, 3072), dtype=np.uint8)
        arrays[name][:, :1024] //= 8
        (folder / name).write_bytes(pickle.dumps({"data": arrays[name], "labels": [row % 10 for row in range(30)]}))
    (folder / "batches.meta").write_bytes(pickle.dumps({"label_names": [f"class {number}" for number in range(10)]}))
    for path in folder.iterdir():
        sums[path.name] = hashlib.md5(path.read_bytes()).hexdigest()
    batches = [[name, sums[name]] for name in ("data_batch_1", "data_batch_2")]
    meta = {"filename": "batches.meta", "key": "label_names", "md5": sums["batches.meta"]}
    monkeypatch.setattr(torchvision.datasets.CIFAR10, "train_list", batches)
    monkeypatch.setattr(torchvision.datasets.CIFAR10, "test_list", [["test_batch", sums["test_batch"]]])
    monkeypatch.setattr(torchvision.datasets.CIFAR10, "meta", meta)
    return arrays


def test_cifar_rows_are_channel_by_channel(tmp_path: Path, cifar: dict[str, np.ndarray]) -> None:
    data = load("cifar10", scale="none", data_dir=tmp_path, offline=True)
    np.testing.assert_array_equal(data.x_test.numpy(), cifar["test_batch"])
    assert data.image_shape == (3, 32, 32)
    assert data.classes[3] == "class 3"
    assert (len(data.x_train), len(data.x_val)) == (50, 10)


def test_cifar_is_standardised_per_channel(tmp_path: Path, cifar: dict[str, np.ndarray]) -> None:
    assert len(cifar) == 3
    data = load("cifar10", data_dir=tmp_path, offline=True)
    channels = data.x_train.view(-1, 3, 1024)
    np.testing.assert_allclose(channels.mean(dim=(0, 2)).numpy(), 0, atol=1e-4)
    np.testing.assert_allclose(channels.std(dim=(0, 2), correction=0).numpy(), 1, atol=1e-4)
    assert len(set(data.inputs.scale.tolist())) == 3


def test_a_damaged_cifar_batch_is_a_fault(tmp_path: Path, cifar: dict[str, np.ndarray]) -> None:
    assert "data_batch_2" in cifar
    (tmp_path / "cifar-10-batches-py" / "data_batch_2").write_bytes(b"damaged")
    with pytest.raises(EnvironmentFault, match=r"dataset cifar10: the files under .*batches-py cannot be read: Data"):
        load("cifar10", data_dir=tmp_path, offline=True)


def test_offline_without_files_says_how_to_get_them(tmp_path: Path) -> None:
    with pytest.raises(
        RequestError, match=r"no MNIST files under .*MNIST/raw \(missing: .*run without --offline"
    ) as caught:
        load("mnist", data_dir=tmp_path, offline=True)
    assert str(tmp_path) in str(caught.value)
    with pytest.raises(RequestError, match=r"no CIFAR10 files under .*missing: data_batch_1"):
        load("cifar10", data_dir=tmp_path, offline=True)


def test_offline_with_one_file_missing_names_it(small: Path) -> None:
    (small / "MNIST/raw/t10k-labels-idx1-ubyte").unlink()
    with pytest.raises(RequestError, match=r"missing: t10k-labels-idx1-ubyte\)"):
        load("mnist", data_dir=small, offline=True)


def test_a_failed_download_is_a_fault_of_one_line_with_its_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torchvision

    monkeypatch.setattr(torchvision.datasets.MNIST, "mirrors", ["http://127.0.0.1:9/"])
    with pytest.raises(
        EnvironmentFault, match=r"dataset mnist: .* cannot be read or downloaded: .*127\.0\.0\.1"
    ) as caught:
        load("mnist", data_dir=tmp_path)
    assert "\n" not in str(caught.value)
    assert "refused" in str(caught.value)


def test_a_download_to_a_place_that_is_no_folder_is_a_fault(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(EnvironmentFault, match=r"cannot be read or downloaded: .*Not a directory"):
        load("mnist", data_dir=tmp_path / "file")


@pytest.mark.parametrize("offline", [True, False])
@pytest.mark.parametrize("file", ["train-images-idx3-ubyte", "t10k-labels-idx1-ubyte"])
def test_a_truncated_file_is_named_with_both_sizes(small: Path, file: str, offline: bool) -> None:
    path = small / "MNIST" / "raw" / file
    size = path.stat().st_size
    path.write_bytes(path.read_bytes()[:-3])
    message = rf"dataset mnist: .*{file} is damaged \({size - 3} bytes, its header says {size}\): delete it"
    with pytest.raises(EnvironmentFault, match=message):
        load("mnist", data_dir=small, offline=offline)


@pytest.mark.parametrize("content", [b"", b"<html>not found</html>", bytes([0, 0, 8, 3, 0, 0])])
def test_a_file_of_another_kind_is_named(small: Path, content: bytes) -> None:
    (small / "MNIST/raw/t10k-images-idx3-ubyte").write_bytes(content)
    with pytest.raises(EnvironmentFault, match="t10k-images-idx3-ubyte is not an IDX file: delete it"):
        load("mnist", data_dir=small, offline=True)


def test_a_file_without_images_is_damaged(small: Path) -> None:
    write_idx(small / "MNIST/raw/train-images-idx3-ubyte", np.zeros((0, 28, 28)))
    with pytest.raises(EnvironmentFault, match="train-images-idx3-ubyte is damaged"):
        load("mnist", data_dir=small, offline=True)


def test_labels_that_do_not_fit_the_images_are_refused(small: Path) -> None:
    labels = small / "MNIST/raw/train-labels-idx1-ubyte"
    write_idx(labels, np.zeros(99))
    with pytest.raises(EnvironmentFault, match="100 images but 99 labels"):
        load("mnist", data_dir=small, offline=True)
    write_idx(labels, np.full(100, 10))
    with pytest.raises(EnvironmentFault, match=r"labels outside 0\.\.9"):
        load("mnist", data_dir=small, offline=True)


def test_training_and_test_images_of_different_shapes_are_refused(small: Path) -> None:
    write_idx(small / "MNIST/raw/t10k-images-idx3-ubyte", np.zeros((20, 14, 14)))
    with pytest.raises(EnvironmentFault, match=r"training and test images under .* differ in shape"):
        load("mnist", data_dir=small, offline=True)


def test_a_missing_torchvision_says_how_to_install_it(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torchvision.datasets", None)
    with pytest.raises(EnvironmentFault, match=r"dataset mnist needs torchvision, .*`pip install torchvision`$"):
        load("mnist", data_dir=small, offline=True)


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("operator torchvision::nms\ndoes not exist"),
        OSError("libcudart.so: no such file"),
        AttributeError("partially initialized module 'torchvision' has no attribute 'extension'"),
    ],
)
def test_a_torchvision_that_breaks_on_import_is_a_fault(
    error: Exception, small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: str) -> Any:
        raise error

    monkeypatch.setattr(importlib, "import_module", fail)
    reason = " ".join(str(error).split())
    with pytest.raises(EnvironmentFault, match=rf"cannot be imported \({reason}\): install the version"):
        load("mnist", data_dir=small, offline=True)
