"""A dataset of the user's own: a table (.csv, .parquet), arrays (.npz) or a folder of images, by its path.

A path is told from a dataset's name by a '/' or a suffix; a folder's bare name will do where it is there.
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
TAKES = ".csv, .parquet, .npz or a folder of images by class"


def is_path(dataset: str) -> bool:
    """Whether this is a path, not the name of a dataset."""
    return "/" in dataset or os.sep in dataset or Path(dataset).suffix != "" or os.path.isdir(dataset)


def expanded(dataset: str) -> Path:
    """The path, with a leading ``~`` replaced."""
    return Path(os.path.expanduser(dataset))


def without_suffix(dataset: str) -> str:
    """``": did you mean 'homes.csv'?"`` where ``homes`` is not there and that is."""
    found = [f"{dataset}{suffix}" for suffix in (*TABLES, _ARRAYS) if os.path.isfile(f"{dataset}{suffix}")]
    return f": did you mean {clip(found[0])!r}?" if found else ""


def stem(dataset: str) -> str:
    """What a study calls the dataset at this path: ``houses`` of ``data/houses.csv``; a folder's own name."""
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
    """The dataset at a path, split; stratified by class where it has classes with rows enough.

    Args:
        target: of a table, its column; several, joined by commas, are a regression of several outputs.
        split, validation: as `search.data.load` takes them.
        options: "task", which is otherwise inferred (see `targets`); of a table also "drop": columns to leave out.

    Raises:
        RequestError: it is not there, is not what it should be, or cannot be split.
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
        _no_test_part(path, validation)
        return _table(path, target, split, seed, options)
    if kind == _ARRAYS:
        return _arrays(path, split, validation, seed, options)
    _no_test_part(path, validation)
    return _pictures(path, split, seed)


def not_a_table(target: str, dataset: str) -> RequestError:
    """The error for a target where there are no columns."""
    return RequestError(f"target {clip(target)!r} is for a table ({', '.join(TABLES)}), got {dataset}")


def _kind(path: Path) -> str:
    """Its suffix, "" for a folder; raises RequestError where there is nothing to read."""
    suffix = path.suffix.lower()
    known = suffix in (*TABLES, _ARRAYS)
    shown = clip(str(path), 200)
    # Unlike `Path.is_file`, these are false, not errors, for a name that no file system allows.
    if os.path.isfile(path):
        if not known:
            raise RequestError(f"dataset {shown!r}: takes {TAKES}")
        return suffix
    if os.path.isdir(path):
        if known:
            raise RequestError(f"dataset {shown!r} is a folder: takes {TAKES}")
        return ""
    if os.path.exists(path):
        raise RequestError(f"dataset {shown!r} is no file: takes {TAKES}")
    beside: Sequence[str] = ()
    if os.path.isdir(path.parent) and os.access(path.parent, os.R_OK):
        beside = [name for name in os.listdir(path.parent) if _readable(path.parent / name)]
    raise RequestError(f"there is no dataset {shown!r}{nearest(path.name, beside)}")


def _readable(path: Path) -> bool:
    return path.suffix.lower() in (*TABLES, _ARRAYS) or os.path.isdir(path)


def _no_test_part(path: Path, validation: str) -> None:
    if validation != "train":
        raise RequestError(f"validation {validation!r} is for data with a test part of their own, got {path.name}")


def _table(path: Path, target: str, split: tuple[float, float, float], seed: int, options: Mapping[str, Any]) -> Raw:
    table = table_files.read(path, _names(options.get("drop")))
    wanted = _targets(path, target, list(table))
    shown = f"{path.name}: target {clip(target)!r}"
    try:
        targets = infer(np.column_stack([table.pop(name) for name in wanted]), shown, options.get("task"))
        parts, notes = _split(path, targets, split, seed)
        encoded = columns.encode(table, path.name, [part.numpy() for part in parts])
    except BadRow as bad:
        raise RequestError(f"{bad.what} in {table_files.place(path, bad.row)}") from None
    used = len({feature.column for feature in encoded.features})
    made = f"{counted(used, 'column')}, {counted(len(encoded.features), 'input')}"
    told = f"{path.name}: {targets.told} in {clip(target)}; {made}"
    train, val, test = (Rows(x, targets.y[rows]) for x, rows in zip(encoded.parts, parts, strict=True))
    return Raw(
        targets.task, train, val, test,
        classes=targets.classes, columns=encoded.features, notes=(told, *encoded.notes, *notes),
    )  # fmt: skip


def _targets(path: Path, target: str, names: Sequence[str]) -> list[str]:
    """The target's column; or, where no column is called that, those that it names between commas."""
    wanted = [target] if target in names else [part.strip() for part in target.split(",")]
    for name in wanted:
        if name not in names:
            raise table_files.no_column(path.name, name, names)
        if wanted.count(name) > 1:
            raise RequestError(f"target {clip(target)!r} names {clip(name)!r} twice")
    return wanted


def _names(value: object) -> list[str]:
    """What `drop` names: one column or a list of them, whose names may look like numbers."""
    if value is None:
        return []
    return [str(name) for name in value] if isinstance(value, list | tuple) else [str(value)]


def _arrays(
    path: Path, split: tuple[float, float, float], validation: str, seed: int, options: Mapping[str, Any]
) -> Raw:
    found = arrays.read(path, options.get("task"))
    x, targets, notes = found.x, found.targets, list[str]()
    if found.train is None:
        _no_test_part(path, validation)
        parts, notes = _split(path, targets, split, seed)
        train, val, test = (Rows(x[rows], targets.y[rows]) for rows in parts)
    else:
        whole, tested = (
            Rows(x[: found.train], targets.y[: found.train]),
            Rows(x[found.train :], targets.y[found.train :]),
        )
        train, val, test = with_official_test(
            whole, tested, split, validation, seed, stratify=targets.task == "classification"
        )
    told = f"{path.name}: {targets.told}; {counted(x.shape[1], 'input')}"
    shape, pixels = found.image_shape, x.dtype == torch.uint8
    return Raw(
        targets.task, train, val, test,
        classes=targets.classes, image_shape=shape, pixel_max=255 if pixels else None,
        channels=(shape[0] if shape else 1) if pixels else None, notes=(told, *notes),
    )  # fmt: skip


def _pictures(path: Path, split: tuple[float, float, float], seed: int) -> Raw:
    found = pictures.read(path)
    parts, notes = _split(path, found.targets, split, seed)
    train, val, test = (Rows(found.x[rows], found.targets.y[rows]) for rows in parts)
    told = f"{path.name}: {found.targets.told}; images of {' x '.join(map(str, found.image_shape))}"
    if found.passed_over:
        told += f"; {counted(found.passed_over, 'file')} passed over: no .png or .jpg"
    return Raw(
        "classification", train, val, test,
        classes=found.targets.classes, image_shape=found.image_shape, pixel_max=255, channels=found.image_shape[0],
        notes=(told, *notes),
    )  # fmt: skip


def _split(
    path: Path, targets: Targets, split: tuple[float, float, float], seed: int
) -> tuple[list[torch.Tensor], list[str]]:
    """Row numbers of each part, and a note where they cannot be split by class."""
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
