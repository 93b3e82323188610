"""mnist, fashion-mnist and cifar10, read by torchvision's own classes, which download missing files.

Only `read` imports torchvision. Pixels stay uint8 until they are scaled. Damaged files are detected here first, because
torchvision would raise an AssertionError or a reshape error that does not name the file.
"""

from __future__ import annotations

import importlib
import math
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from search.data.inputs import Numbers
from search.data.source import Source
from search.errors import EnvironmentFault, RequestError


@dataclass(frozen=True)
class _Source:
    """A torchvision class, and the folder under the root that holds its files."""

    cls: str
    folder: str


SOURCES = {
    "mnist": _Source("MNIST", "MNIST/raw"),
    "fashion-mnist": _Source("FashionMNIST", "FashionMNIST/raw"),
    "cifar10": _Source("CIFAR10", "cifar-10-batches-py"),
}


def read(name: str, data_dir: Path, offline: bool) -> Source:
    """Read the image data set called `name`, with its official training and test rows.

    Args:
        name: a name in `SOURCES`.
        data_dir: torchvision's root, which contains or will contain `MNIST`, `FashionMNIST`, `cifar-10-batches-py`.
        offline: whether downloads are forbidden.

    Raises:
        RequestError: files are missing and `offline` is set.
        EnvironmentFault: torchvision cannot be imported, the download fails, or a file is damaged.
    """
    source = SOURCES[name]
    cls = _torchvision_class(name, source.cls)
    folder = data_dir.expanduser() / source.folder
    files = _files(cls, folder)
    missing = [path.name for path in files if not path.is_file()]
    if missing and offline:
        raise RequestError(
            f"no {source.cls} files under {folder} (missing: {', '.join(missing)}):"
            " run without --offline to download them"
        )
    for path in files:
        if path.name.endswith("-ubyte") and path.is_file():
            _validate_idx(name, path)
    official, test = (_load(name, cls, folder, train, download=not offline) for train in (True, False))
    pixels, labels = _tensors(name, folder, official)
    test_pixels, test_labels = _tensors(name, folder, test)
    image_shape = (pixels.shape[1], pixels.shape[2], pixels.shape[3])
    if test_pixels.shape[1:] != pixels.shape[1:]:
        raise EnvironmentFault(f"dataset {name}: training and test images under {folder} differ in shape")
    labels_of_all = torch.cat([labels, test_labels])
    return Source(
        place=f"dataset {name}",
        task="classification",
        y=labels_of_all,
        inputs=Numbers(torch.cat([pixels.flatten(1), test_pixels.flatten(1)])),
        test=torch.arange(len(labels), len(labels_of_all)),
        official=True,
        # torchvision calls MNIST's classes "0 - zero".
        classes=tuple(label.split(" - ")[0] for label in official.classes),
        image_shape=image_shape,
        pixel_max=255,
        channels=image_shape[0],
    )


def _torchvision_class(name: str, cls: str) -> Any:
    try:
        return getattr(importlib.import_module("torchvision.datasets"), cls)
    # A torchvision that was built for another torch raises any of these.
    except (ImportError, RuntimeError, OSError, AttributeError) as error:
        raise EnvironmentFault(
            f"dataset {name} needs torchvision, which cannot be imported ({_line(error)}):"
            " install the version that matches your torch with `pip install torchvision`"
        ) from error


def _files(cls: Any, folder: Path) -> list[Path]:
    """Return the files that `cls` reads, from its public lists."""
    if hasattr(cls, "resources"):
        return [folder / Path(archive).stem for archive, _ in cls.resources]
    return [folder / file for file, _ in (*cls.train_list, *cls.test_list)] + [folder / cls.meta["filename"]]


def _validate_idx(name: str, path: Path) -> None:
    """Compare a file's size with its IDX header.

    The header is 0 0 8 (uint8) d, then d big-endian 4-byte lengths, then the bytes.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            header = file.read(16)
    except OSError as error:
        raise EnvironmentFault(f"dataset {name}: cannot read {path}: {_line(error)}") from error
    dimensions = 3 if "images" in path.name else 1
    start = 4 + 4 * dimensions
    if header[:4] != bytes([0, 0, 8, dimensions]) or len(header) < start:
        raise EnvironmentFault(f"dataset {name}: {path} is not an IDX file: delete it to download it again")
    expected = start + math.prod(int.from_bytes(header[at : at + 4], "big") for at in range(4, start, 4))
    if size != expected or expected == start:
        raise EnvironmentFault(
            f"dataset {name}: {path} is damaged ({size} bytes, its header says {expected}):"
            " delete it to download it again"
        )


def _load(name: str, cls: Any, folder: Path, train: bool, download: bool) -> Any:
    root = folder.parents[len(Path(SOURCES[name].folder).parts) - 1]
    try:
        return cls(root=str(root), train=train, download=download)
    # A URLError and a full or read-only disk are OSErrors. A wrong checksum or a lack of mirrors is a RuntimeError.
    except (OSError, RuntimeError, HTTPException) as error:
        what = "cannot be read or downloaded" if download else "cannot be read"
        raise EnvironmentFault(f"dataset {name}: the files under {folder} {what}: {_line(error)}") from error


def _tensors(name: str, folder: Path, dataset: Any) -> tuple[Tensor, Tensor]:
    """Return pixels ``rows x channels x height x width`` uint8 and labels ``(rows,)`` int64."""
    pixels = torch.as_tensor(np.asarray(dataset.data))
    # CIFAR's images are height x width x channels, and MNIST's have no channel axis.
    pixels = pixels.unsqueeze(1) if pixels.dim() == 3 else pixels.permute(0, 3, 1, 2)
    labels = torch.as_tensor(np.asarray(dataset.targets, dtype=np.int64))
    if len(pixels) != len(labels):
        raise EnvironmentFault(f"dataset {name}: {len(pixels)} images but {len(labels)} labels under {folder}")
    if len(labels) == 0 or not 0 <= int(labels.min()) <= int(labels.max()) < len(dataset.classes):
        raise EnvironmentFault(f"dataset {name}: labels outside 0..{len(dataset.classes) - 1} under {folder}")
    return pixels, labels


def _line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
