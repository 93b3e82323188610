"""A user's own data set: a table (.csv, .parquet), arrays (.npz) or a folder of images, given by its path.

A path differs from the name of a data set by a '/' or a suffix. The bare name of an existing folder is a path too.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from search.data import arrays, columns, pictures, table_files
from search.data.dataset import Raw, Rows
from search.data.split import partition, stratifies, with_official_test
from search.data.targets import BadRow, Targets, infer
from search.errors import RequestError, clip, counted, listed, nearest, unknown

TABLES = (".csv", ".parquet")
_ARRAYS = ".npz"
KINDS = ".csv, .parquet, .npz or a folder of images by class"


def is_path(dataset: str) -> bool:
    """Return whether this is a path, not the name of a data set."""
    return "/" in dataset or os.sep in dataset or Path(dataset).suffix != "" or os.path.isdir(dataset)


def expanded(dataset: str) -> Path:
    """Return the path with a leading ``~`` replaced."""
    return Path(os.path.expanduser(dataset))


def without_suffix(dataset: str) -> str:
    """Return ``": did you mean 'homes.csv'?"`` for ``homes`` if that file exists, or an empty string."""
    existing = [f"{dataset}{suffix}" for suffix in (*TABLES, _ARRAYS) if os.path.isfile(f"{dataset}{suffix}")]
    return f": did you mean {clip(existing[0])!r}?" if existing else ""


def stem(dataset: str) -> str:
    """Return the name in a study of the data set at this path: ``houses`` for ``data/houses.csv``, or the folder's."""
    path = expanded(dataset)
    return path.stem if path.suffix.lower() in (*TABLES, _ARRAYS) else Path(os.path.abspath(path)).name


def read(
    dataset: str,
    target: str | None,
    split: tuple[float, float, float],
    validation: str,
    seed: int,
    options: Mapping[str, Any],
) -> Raw:
    """Read and split the data set at a path. The split is stratified by class if each class has enough rows.

    Args:
        dataset: the path.
        target: the column of a table to predict. Several, joined by commas, make a regression with several outputs.
        split, validation, seed: as in `search.data.load`.
        options: "task", which is otherwise inferred (see `targets`); for a table also "drop", the columns to leave out.

    Raises:
        RequestError: the data set does not exist, is not as it should be, or cannot be split.
        EnvironmentFault: a file is damaged, or a library that reads it is missing.
    """
    path = expanded(dataset)
    kind = _kind(path)
    if target is None and kind in TABLES:
        names = list(table_files.read(path, _names(options.get("drop"))))
        raise RequestError(
            f"{path.name} needs --target COLUMN, or target in the recipe's [data] (it has: {listed(names)})"
        )
    if target is not None and kind not in TABLES:
        raise not_a_table(target, path.name)
    allowed = ("task", "drop") if kind in TABLES else ("task",) if kind == _ARRAYS else ()
    for option in options:
        if option not in allowed:
            if not allowed:
                raise RequestError(f"{path.name} is a folder of images, which takes no options, got {clip(option)}")
            raise unknown(f"option of {path.name}", option, allowed)
    if kind in TABLES:
        assert target is not None
        _validate_without_test_part(path, validation)
        return _table(path, target, split, seed, options)
    if kind == _ARRAYS:
        return _arrays(path, split, validation, seed, options)
    _validate_without_test_part(path, validation)
    return _pictures(path, split, seed)


def not_a_table(target: str, dataset: str) -> RequestError:
    """Return the error for a target that is given for something other than a table."""
    return RequestError(f"target {clip(target)!r} is for a table ({', '.join(TABLES)}), got {dataset}")


def _kind(path: Path) -> str:
    """Return the suffix of a file, or "" for a folder; raise RequestError if there is nothing to read."""
    suffix = path.suffix.lower()
    known = suffix in (*TABLES, _ARRAYS)
    shown = clip(str(path), 200)
    # Unlike `Path.is_file`, these functions return False for a name that no file system allows.
    if os.path.isfile(path):
        if not known:
            raise RequestError(f"dataset {shown!r} has an unknown suffix: give {KINDS}")
        return suffix
    if os.path.isdir(path):
        if known:
            raise RequestError(f"dataset {shown!r} is a folder with the suffix of a file: give {KINDS}")
        return ""
    if os.path.exists(path):
        raise RequestError(f"dataset {shown!r} is not a file: give {KINDS}")
    beside: Sequence[str] = ()
    if os.path.isdir(path.parent) and os.access(path.parent, os.R_OK):
        beside = [name for name in os.listdir(path.parent) if _readable(path.parent / name)]
    raise RequestError(f"there is no dataset {shown!r}{nearest(path.name, beside)}")


def _readable(path: Path) -> bool:
    return path.suffix.lower() in (*TABLES, _ARRAYS) or os.path.isdir(path)


def _validate_without_test_part(path: Path, validation: str) -> None:
    if validation != "train":
        raise RequestError(f"validation {validation!r} needs data with a test part; for {path.name} use 'train'")


def _table(path: Path, target: str, split: tuple[float, float, float], seed: int, options: Mapping[str, Any]) -> Raw:
    table = table_files.read(path, _names(options.get("drop")))
    target_names = _targets(path, target, list(table))
    shown = f"{path.name}: target {clip(target)!r}"
    try:
        targets = infer(np.column_stack([table.pop(name) for name in target_names]), shown, options.get("task"))
        parts, notes = _split(path, targets, split, seed)
        encoded = columns.encode(table, path.name, [part.numpy() for part in parts])
    except BadRow as bad:
        raise RequestError(f"{bad.what} in {table_files.place(path, bad.row)}") from None
    used = len({feature.column for feature in encoded.features})
    inputs = f"{counted(used, 'column')}, {counted(len(encoded.features), 'input')}"
    summary = f"{path.name}: {targets.summary} in {clip(target)}; {inputs}"
    train, val, test = (Rows(x, targets.y[rows]) for x, rows in zip(encoded.parts, parts, strict=True))
    return Raw(
        targets.task,
        train,
        val,
        test,
        classes=targets.classes,
        columns=encoded.features,
        notes=(summary, *encoded.notes, *notes),
    )


def _targets(path: Path, target: str, names: Sequence[str]) -> list[str]:
    """Return the target columns: the one with this name or, if there is none, those named between commas."""
    chosen = [target] if target in names else [part.strip() for part in target.split(",")]
    for name in chosen:
        if name not in names:
            raise table_files.no_column(path.name, name, names)
        if chosen.count(name) > 1:
            raise RequestError(f"target {clip(target)!r} names {clip(name)!r} twice")
    return chosen


def _names(value: object) -> list[str]:
    """Return the columns in `drop`: one or a list, whose names may look like numbers."""
    if value is None:
        return []
    return [str(name) for name in value] if isinstance(value, list | tuple) else [str(value)]


def _arrays(
    path: Path, split: tuple[float, float, float], validation: str, seed: int, options: Mapping[str, Any]
) -> Raw:
    file = arrays.read(path, options.get("task"))
    x, targets, notes = file.x, file.targets, list[str]()
    if file.train is None:
        _validate_without_test_part(path, validation)
        parts, notes = _split(path, targets, split, seed)
        train, val, test = (Rows(x[rows], targets.y[rows]) for rows in parts)
    else:
        whole = Rows(x[: file.train], targets.y[: file.train])
        official_test = Rows(x[file.train :], targets.y[file.train :])
        train, val, test = with_official_test(
            whole, official_test, split, validation, seed, stratify=targets.task == "classification"
        )
    summary = f"{path.name}: {targets.summary}; {counted(x.shape[1], 'input')}"
    shape, pixels = file.image_shape, x.dtype == torch.uint8
    return Raw(
        targets.task,
        train,
        val,
        test,
        classes=targets.classes,
        image_shape=shape,
        pixel_max=255 if pixels else None,
        channels=(shape[0] if shape else 1) if pixels else None,
        notes=(summary, *notes),
    )


def _pictures(path: Path, split: tuple[float, float, float], seed: int) -> Raw:
    images = pictures.read(path)
    parts, notes = _split(path, images.targets, split, seed)
    train, val, test = (Rows(images.x[rows], images.targets.y[rows]) for rows in parts)
    summary = f"{path.name}: {images.targets.summary}; images of {' x '.join(map(str, images.image_shape))}"
    if images.ignored:
        summary += f"; {counted(images.ignored, 'file')} ignored: not .png or .jpg"
    return Raw(
        "classification",
        train,
        val,
        test,
        classes=images.targets.classes,
        image_shape=images.image_shape,
        pixel_max=255,
        channels=images.image_shape[0],
        notes=(summary, *notes),
    )


def _split(
    path: Path, targets: Targets, split: tuple[float, float, float], seed: int
) -> tuple[list[torch.Tensor], list[str]]:
    """Return the row numbers of each part, and a note if the rows cannot be split by class."""
    labels = targets.labels
    try:
        parts = partition(len(targets.y), split, seed, labels)
    except RequestError as error:
        raise RequestError(f"{path.name}: {error}") from None
    if labels is None or stratifies(labels, split):
        return parts, []
    counts = torch.bincount(labels, minlength=len(targets.classes))
    fewest = int(counts.argmin())
    return parts, [
        f"{path.name}: class {clip(targets.classes[fewest])!r} has {counted(int(counts[fewest]), 'row')}, too few for a"
        " share of each part: rows are split without regard to class"
    ]
