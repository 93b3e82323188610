"""A user's own data set: a table (.csv, .xlsx, .parquet ...), arrays (.npz) or a folder of images, given by its path.

A path differs from the name of a data set by a '/' or a suffix. The bare name of an existing folder is a path too.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from search.data import arrays, joining, pictures, sources, table_files
from search.data import roles as roles_of
from search.data.inputs import Numbers
from search.data.rules import Rules
from search.data.source import Source
from search.data.targets import Targets, infer
from search.errors import RequestError, clip, counted, listed, nearest, unknown

TABLES = table_files.SUFFIXES
_ARRAYS = ".npz"
KINDS = f"{table_files.SHOWN}, .npz or a folder of images by class"


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
    suffix = table_files.suffix(path)
    return path.name[: -len(suffix)] if suffix in (*TABLES, _ARRAYS) else Path(os.path.abspath(path)).name


def read(
    dataset: str, target: str | None, rules: Rules, options: Mapping[str, Any], kinds: Mapping[str, str]
) -> Source:
    """Read the data set at a path, and the files of its validation and test parts.

    Args:
        dataset: the path.
        target: the column of a table to predict. Several, joined by commas, make a regression with several outputs.
        rules: the rules of the split, which name files and columns.
        options: "task", which is otherwise inferred (see `targets`); for a table also "missing_target", which may be
            "drop" to leave out rows without a target, and those of `table_files.OPTIONS`.
        kinds: for a table, the kind of some columns, by name; see `table.KINDS`.

    Raises:
        RequestError: the data set does not exist, or is not as it should be.
        EnvironmentFault: a file is damaged, or a library that reads it is missing.
    """
    path = expanded(dataset)
    kind = _kind(path)
    if target is None and kind in TABLES:
        names = list(table_files.read(path, options, kinds).columns)
        raise RequestError(
            f"{path.name} needs --target COLUMN, or target in the recipe's [data] (it has: {listed(names)})"
        )
    if target is not None and kind not in TABLES:
        raise not_a_table(target, path.name)
    if kinds and kind not in TABLES:
        raise RequestError(f"--column is for a table, got {path.name}")
    allowed = (
        ("task", "missing_target", *table_files.OPTIONS) if kind in TABLES else ("task",) if kind == _ARRAYS else ()
    )
    for option in options:
        if option not in allowed:
            if not allowed:
                raise RequestError(f"{path.name} is a folder of images, which takes no options, got {clip(option)}")
            raise unknown(f"option of {path.name}", option, allowed)
    parts = {part: _part(path, kind, part, file) for part, file in rules.files.items()}
    if kind != _ARRAYS and rules.validation != "train":
        raise no_test_part(path.name, rules)
    if kind in TABLES:
        assert target is not None
        return _table(path, parts, target, rules, options, kinds)
    if kind == _ARRAYS:
        return _arrays(path, parts, rules, options)
    return _pictures(path, parts, rules)


def no_test_part(name: str, rules: Rules) -> RequestError:
    """Return the error for validation rows from a test part that a file does not have."""
    return RequestError(f"validation {rules.validation!r} needs data with a test part; for {name} use 'train'")


def _part(path: Path, kind: str, part: str, file: str) -> Path:
    """Return the path of the file of a part, which must be of the same kind as the data set."""
    other = expanded(file)
    try:
        found = _kind(other)
    except RequestError as error:
        raise RequestError(f"{part}: {error}") from None
    if (found in TABLES) != (kind in TABLES) or (found == _ARRAYS) != (kind == _ARRAYS):
        words = "a table" if kind in TABLES else "an .npz file" if kind == _ARRAYS else "a folder of images"
        raise RequestError(f"{part}: {clip(file)!r} is not of the kind of {path.name}: give {words}")
    if os.path.realpath(other) == os.path.realpath(path):
        raise RequestError(f"{part}: {clip(file)!r} is the data set itself: give another file, or a fraction of it")
    return other


def not_a_table(target: str, dataset: str) -> RequestError:
    """Return the error for a target that is given for something other than a table."""
    return RequestError(f"target {clip(target)!r} is for a table ({table_files.SHOWN}), got {dataset}")


def _kind(path: Path) -> str:
    """Return the suffix of a file, or "" for a folder; raise RequestError if there is nothing to read."""
    suffix = table_files.suffix(path)
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
    return table_files.suffix(path) in (*TABLES, _ARRAYS) or os.path.isdir(path)


def _table(
    path: Path,
    parts: Mapping[str, Path],
    target: str,
    rules: Rules,
    options: Mapping[str, Any],
    kinds: Mapping[str, str],
) -> Source:
    asked = sources.asked_of(options, rules)
    whole = table_files.read(path, asked, kinds)
    names = sources.target_columns(whole, target)
    others = {part: table_files.read_alike(file, whole, asked) for part, file in parts.items()}
    return sources.of_tables(whole, others, names, target, rules, options)


def _arrays(path: Path, parts: Mapping[str, Path], rules: Rules, options: Mapping[str, Any]) -> Source:
    roles = [name for name in rules.roles.values() if name is not None]
    files = [arrays.read(one, roles) for one in (path, *parts.values())]
    own = files[0]
    if own.train is None and rules.validation != "train":
        raise no_test_part(path.name, rules)
    if own.train is not None and parts:
        raise RequestError(
            f"{path.name} has a test part of its own: a part in another file needs x and y in {path.name}"
        )
    for part, file in zip(parts.values(), files[1:], strict=True):
        if file.train is not None:
            raise RequestError(f"{part.name} must hold x and y: it is one part of {path.name}")
        if (file.x.shape[1], file.x.dtype, file.image_shape) != (own.x.shape[1], own.x.dtype, own.image_shape):
            raise RequestError(
                f"{part.name}: its rows differ from those of {path.name}: {_inputs_of(file)} here,"
                f" {_inputs_of(own)} there"
            )
        if file.y.shape[1:] != own.y.shape[1:] or (file.y.dtype.kind in "US") != (own.y.dtype.kind in "US"):
            raise RequestError(f"{part.name}: y differs from that of {path.name} in shape or type")
    lengths = [len(file.x) for file in files]
    where = joining.numbered([path, *parts.values()], lengths)
    targets = infer(np.concatenate([file.y for file in files]), f"{path.name}: {own.y_names}", options.get("task"))
    columns = {name: np.concatenate([file.others[name] for file in files]) for name in roles}
    fields, notes = roles_of.read(columns, rules, path.name, where)
    shape, pixels = own.image_shape, own.x.dtype == torch.uint8
    if own.train is not None:
        fields |= {"test": torch.arange(own.train, len(own.x)), "official": True}
    return sources.joined(
        path.name,
        {part: file.name for part, file in parts.items()},
        lengths,
        targets,
        inputs=Numbers(torch.cat([file.x for file in files]) if parts else own.x),
        image_shape=shape,
        pixel_max=255 if pixels else None,
        channels=(shape[0] if shape else 1) if pixels else None,
        notes=(f"{path.name}: {targets.summary}; {counted(own.x.shape[1], 'input')}", *notes),
        where=where,
        **fields,
    )


def _inputs_of(file: arrays.Arrays) -> str:
    shape = f" ({' x '.join(map(str, file.image_shape))})" if file.image_shape else ""
    return f"{counted(file.x.shape[1], 'input')}{shape} of {str(file.x.dtype).removeprefix('torch.')}"


def _pictures(path: Path, parts: Mapping[str, Path], rules: Rules) -> Source:
    for role, name in rules.roles.items():
        if name is not None:
            raise RequestError(f"{role}: {path.name} is a folder of images, which has no column {clip(name)!r}")
    folders = [pictures.read(one) for one in (path, *parts.values())]
    own = folders[0]
    labels = pictures.labels(folders, [path, *parts.values()])
    summary = f"{path.name}: {own.targets.summary}; images of {' x '.join(map(str, own.image_shape))}"
    if ignored := sum(folder.ignored for folder in folders):
        summary += f"; {counted(ignored, 'file')} ignored: not .png or .jpg"
    return sources.joined(
        path.name,
        {part: file.name for part, file in parts.items()},
        [len(folder.x) for folder in folders],
        Targets("classification", labels, own.targets.classes),
        inputs=Numbers(torch.cat([folder.x for folder in folders]) if parts else own.x),
        image_shape=own.image_shape,
        pixel_max=255,
        channels=own.image_shape[0],
        notes=(summary,),
    )
