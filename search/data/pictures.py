"""Folders of images by class, ``folder/class/*.png`` or ``.jpg``, read by Pillow, which only `read` imports.

The classes are the names of the folders, in alphabetical order. All images must have the same size. They have one
channel if all are grey, and three otherwise; transparency is dropped. Hidden files and files other than .png and .jpg
are ignored. A link that leads out of the folder is refused.
"""

from __future__ import annotations

import importlib
import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from search.data.targets import Targets
from search.errors import EnvironmentFault, RequestError, clip, listed, plain

_SUFFIXES = (".png", ".jpg", ".jpeg")
_MOST_PIXELS = 2**22
# Pillow's modes with one byte or one bit per pixel, and those with colours.
_GREY = ("1", "L", "LA")
_COLOURED = ("RGB", "RGBA", "P", "PA", "CMYK", "YCbCr")


@dataclass(frozen=True, eq=False)
class Pictures:
    """The images of a folder.

    Attributes:
        x: the pixels, ``rows x (channels * height * width)`` uint8.
        targets: the class of each row.
        image_shape: the (channels, height, width) of a row.
        ignored: the number of files that are not images.
    """

    x: Tensor
    targets: Targets
    image_shape: tuple[int, int, int]
    ignored: int


def read(folder: Path) -> Pictures:
    """Read the images of a folder, in the order of the names of classes and files.

    Raises:
        EnvironmentFault: an image is damaged, or Pillow cannot be imported.
        RequestError: the folder is not as above.
    """
    try:
        return _read(folder, *_files(folder))
    except OSError as error:
        raise EnvironmentFault(f"cannot read {error.filename or folder}: {error.strerror or error}") from None


def labels(folders: Sequence[Pictures], paths: Sequence[Path]) -> Tensor:
    """Return the class of each image of several folders, by the numbers that the first folder gives to its classes.

    Raises:
        RequestError: a folder has images of another size than the first, or a class that the first does not have.
    """
    first = folders[0]
    found = [first.targets.y]
    for path, folder in zip(paths[1:], folders[1:], strict=True):
        if folder.image_shape != first.image_shape:
            here, there = (" x ".join(map(str, one.image_shape)) for one in (folder, first))
            raise RequestError(f"{path.name}: its images are {here}, those of {paths[0].name} are {there}")
        known = first.targets.classes
        for name in folder.targets.classes:
            if name not in known:
                raise RequestError(
                    f"{path.name}: class {clip(name)!r} is in no folder of {paths[0].name} (it has: {listed(known)})"
                )
        number = torch.tensor([known.index(name) for name in folder.targets.classes])
        found.append(number[folder.targets.y])
    return torch.cat(found)


def _files(folder: Path) -> tuple[dict[str, list[Path]], int]:
    """Return the images of each class, and the number of other files."""
    root = folder.resolve()
    classes: dict[str, list[Path]] = {}
    others = 0
    for entry in sorted(folder.iterdir()):
        if entry.name.startswith(".") or not entry.is_dir():
            continue
        _validate_inside(root, entry)
        files = [file for file in sorted(entry.iterdir()) if not file.name.startswith(".")]
        classes[entry.name] = [file for file in files if file.suffix.lower() in _SUFFIXES]
        others += len(files) - len(classes[entry.name])
        for file in classes[entry.name]:
            _validate_inside(root, file)
            # A pipe might never end.
            if not os.path.isfile(file):
                raise RequestError(f"{_shown(file)} is not a file")
        if not classes[entry.name]:
            raise RequestError(f"{folder.name}: folder {clip(entry.name)!r} holds no {' or '.join(_SUFFIXES)} file")
    if len(classes) < 2:
        raise RequestError(
            f"{folder.name} needs a folder of images (class/*.png or .jpg) for each of at least two classes;"
            f" it has {len(classes) or 'none'}"
        )
    return classes, others


def _validate_inside(root: Path, entry: Path) -> None:
    try:
        leads_out = entry.is_symlink() and not entry.resolve().is_relative_to(root)
    except (OSError, RuntimeError):
        raise RequestError(f"{_shown(entry)} is a link that leads to itself") from None
    if leads_out:
        raise RequestError(f"{_shown(entry)} is a link that leads out of the folder")


def _read(folder: Path, files: dict[str, list[Path]], others: int) -> Pictures:
    pillow = _pillow(folder)
    labels = [label for label, name in enumerate(files) for _ in files[name]]
    flat = [file for name in files for file in files[name]]
    headers = [_header(pillow, file) for file in flat]
    size = headers[0][0]
    for file, (other, _) in zip(flat, headers, strict=True):
        if other != size:
            raise RequestError(
                f"{folder.name}: images differ in size: {_shown(flat[0])} is {size[0]} x {size[1]},"
                f" {_shown(file)} is {other[0]} x {other[1]}"
            )
    grey = all(mode in _GREY for _, mode in headers)
    channels, (width, height) = 1 if grey else 3, size
    x = np.empty((len(flat), channels, height, width), np.uint8)
    for row, file in enumerate(flat):
        x[row] = _pixels(pillow, file, "L" if grey else "RGB", (channels, height, width))
    y = torch.tensor(labels, dtype=torch.int64)
    targets = Targets("classification", y, tuple(files))
    return Pictures(torch.from_numpy(x.reshape(len(flat), -1)), targets, (channels, height, width), others)


def _header(pillow: Any, file: Path) -> tuple[tuple[int, int], str]:
    """Return an image's width and height, and Pillow's mode."""
    with _opened(pillow, file) as image:
        size, mode = image.size, str(image.mode)
    if mode not in (*_GREY, *_COLOURED):
        raise RequestError(f"{_shown(file)} has pixels of mode {mode}: give grey or RGB images of 8 bits")
    if size[0] * size[1] > _MOST_PIXELS:
        raise RequestError(f"{_shown(file)} is {size[0]} x {size[1]}: at most {_MOST_PIXELS:,} pixels are allowed")
    return size, mode


def _pixels(pillow: Any, file: Path, mode: str, shape: Sequence[int]) -> NDArray[np.uint8]:
    with _opened(pillow, file) as image:
        try:
            pixels = np.asarray(image.convert(mode), np.uint8)
        # Pillow raises SyntaxError for a broken PNG.
        except (OSError, SyntaxError, ValueError, EOFError) as error:
            raise EnvironmentFault(f"cannot read image {_shown(file)}: {_line(error)}") from None
    return pixels.reshape(shape) if len(pixels.shape) == 2 else np.moveaxis(pixels, 2, 0)


def _opened(pillow: Any, file: Path) -> Any:
    try:
        # Pillow warns of large images, which are refused by their size.
        with warnings.catch_warnings(action="ignore", category=pillow.DecompressionBombWarning):
            # Decoders of some other formats run programs.
            return pillow.open(file, formats=("PNG", "JPEG"))
    except pillow.UnidentifiedImageError:
        raise EnvironmentFault(f"cannot read image {_shown(file)}: it is not a PNG or JPEG") from None
    except (OSError, SyntaxError, ValueError, EOFError, pillow.DecompressionBombError) as error:
        raise EnvironmentFault(f"cannot read image {_shown(file)}: {_line(error)}") from None


def _pillow(folder: Path) -> Any:
    try:
        return importlib.import_module("PIL.Image")
    except ImportError as error:
        raise EnvironmentFault(
            f"{folder.name}: images need Pillow, which cannot be imported ({_line(error)})"
        ) from error


def _shown(file: Path) -> str:
    return clip(plain(f"{file.parent.name}/{file.name}"), 120)


def _line(error: BaseException) -> str:
    return clip(" ".join(str(error).split()) or type(error).__name__, 200)
