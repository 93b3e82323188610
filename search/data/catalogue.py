"""`load` and `load_folds`, which read, split and scale a data set that is given by its name or its path."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from search.data import files, memory_source, synthetic, table_files, tables, vision
from search.data import folds as splits
from search.data.dataset import Data
from search.data.memory import MEMORY, Memory
from search.data.prepared import prepared
from search.data.rules import Part, Rules
from search.data.scaling import FOR_NUMBERS, SCALES
from search.data.source import Source
from search.data.split import Parts, divide
from search.errors import RequestError, clip, unknown

_READING = ("target", "data_dir", "offline", "options", "columns", "given")

DATASETS: tuple[str, ...] = (*tables.TABLES, *synthetic.OPTIONS, *vision.SOURCES)


def load(
    dataset: str,
    *,
    target: str | None = None,
    scale: str | Sequence[str] = "standard",
    split: Sequence[float] = (0.6, 0.2, 0.2),
    val: Part = None,
    test: Part = None,
    group: str | None = None,
    time: str | None = None,
    weights: str | None = None,
    validation: str = "train",
    seed: int = 0,
    data_dir: Path = Path("data"),
    offline: bool = False,
    options: Mapping[str, Any] | None = None,
    columns: Mapping[str, str] | None = None,
    given: Memory | None = None,
) -> Data:
    """Read, split and scale a data set. The result depends only on the arguments and the files.

    Args:
        dataset: one of `DATASETS`, or the path of a table, an .npz or a folder of images; see `files`. "memory" are
            the data in `given`.
        target: the column of a table to predict.
        scale: the scaling of the features: "standard" (mean 0, SD 1), "unit" (pixels or the training range to [0, 1]),
            "robust" (median 0, interquartile range 1, smoothly clipped), "quantile" (normal scores) or "none"; see
            `scaling.fit`. Pixels cannot be robust or quantile. The targets of a regression are always standardised.
            Of several, the first one scales the result, and its `scales` have them all.
        split: the shares of training, validation and test rows. Data sets with an official test set (mnist,
            fashion-mnist, cifar10, some .npz files) keep it, and take split[1] of the other rows for validation. line
            and polynomial draw each part separately, with the numbers of rows in their options.
        val, test: the validation or test rows instead of their share in `split`: a fraction of all rows, or the path of
            a file with the same columns (arrays, folders). All other rows train. A test of 0 leaves out the test part;
            `x_test` then has no rows.
        group: the column of a table, or the array of an .npz file, whose equal values are a group. The rows of a group
            are in one part. It is no input.
        time: the column or array of times, numbers or dates. Training rows are earlier than validation rows, and these
            are earlier than test rows; rows of equal times are in one part. With `group` too, groups must not overlap
            in time where the rows are split. It is an input, unless it is dropped or is an array.
        weights: the column or array of row weights, >= 0. It is no input.
        validation: the source of the validation rows. "train": the rows to train on, as `split` says. For data sets
            with an official test set, all other rows then train: "half-of-test" takes a random half of the test rows,
            and the other half is the test part; "test" takes all test rows, so validation and test are the same rows.
        seed: the seed of the split, and of the draws of line and polynomial.
        data_dir: torchvision's root folder, for mnist, fashion-mnist and cifar10.
        offline: whether downloads are forbidden.
        options: the options of line and polynomial (see `synthetic.OPTIONS`) or of a path (see `files.read`).
        columns: the kind of some columns of a table, by name: number, category, date, time or drop.
        given: data in memory (`memory.of`).

    Raises:
        RequestError: a name or an option is unknown, a value is out of range, the data are not as they should be, no
            split keeps the rules, or files are missing and `offline` is set.
        EnvironmentFault: a library or a file is missing or damaged, or a download fails.

    Example:
        >>> digits = load("digits")
        >>> digits.features, digits.outputs, digits.image_shape
        (64, 10, (1, 8, 8))
    """
    rules = Rules(split, val, test, validation, seed, group, time, weights)
    reading: dict[str, Any] = {"data_dir": data_dir, "offline": offline, "options": options, "columns": columns}
    reading["given"] = given
    scales = _scales(scale)
    source = _read(dataset, rules, target=target, scales=scales, **reading)
    parts = divide(source, rules)
    return prepared(dataset_name(dataset), source, source.inputs.fit(parts.train), parts, scales)


def load_folds(
    dataset: str, *, folds: int, repeats: int = 1, scale: str | Sequence[str] = "standard", **arguments: Any
) -> tuple[Data, ...]:
    """Read a data set, and split the rows outside its test part into the folds of a cross-validation.

    All folds have the same test rows, which are those of `load`, and the same features and outputs. The features (the
    values of a text column, and which columns are used) come from all rows outside the test part. Medians, means and
    standard deviations, of the targets too, come from the training rows of each fold. An input that is constant in
    these is constant in the whole fold.

    Args:
        dataset: as in `load`.
        folds: the number of folds, at least 2.
        repeats: how many times the rows are split into folds, each time with another seed.
        scale: as in `load`.
        arguments: the other arguments of `load`. There is no `val`, and `split` matters for the test rows only.

    Returns:
        ``folds * repeats`` data sets; fold k of repeat r is at index ``r * folds + k``. See `folds.divide`.

    Raises:
        RequestError: as in `load`, or there are too few rows, rows of a class, groups or times for so many folds.
        EnvironmentFault: as in `load`.
    """
    splitting = dict(arguments)
    reading = {name: splitting.pop(name) for name in tuple(splitting) if name in _READING}
    rules = Rules(**splitting, folds=folds, repeats=repeats)
    if not rules.folds:
        raise RequestError("folds must be at least 2, got 0")
    name, scales = dataset_name(dataset), _scales(scale)
    source = _read(dataset, rules, scales=scales, **reading)
    outer = divide(source, rules)
    pairs = splits.divide(source, outer.pool, rules)
    fitted = source.inputs.fit(outer.pool)
    # What the single split says of its training rows is not true of the folds'.
    said = tuple(splits.notes(source, pairs, rules))
    return tuple(
        prepared(name, source, fitted.refit(train), Parts(train, val, outer.test, said), scales) for train, val in pairs
    )


def is_path(dataset: str) -> bool:
    """Return whether this is the path of a user's data, not the name of a data set."""
    return dataset not in (*DATASETS, MEMORY) and files.is_path(dataset)


def resolve_dataset(dataset: str, folder: Path | None = None) -> str:
    """Return the path of a data set below `folder`, or its absolute path if that is None; names are kept."""
    if dataset in (*DATASETS, MEMORY) or not (is_path(dataset) or (folder and os.path.isdir(folder / dataset))):
        return dataset
    path = files.expanded(dataset)
    return os.path.abspath(path) if folder is None else str(folder / path)


def resolve_paths(data: Mapping[str, Any], folder: Path | None = None) -> dict[str, Any]:
    """Return the fields of a recipe's ``[data]`` with every path resolved as by `resolve_dataset`."""
    resolved = dict(data)
    if isinstance(data.get("dataset"), str):
        resolved["dataset"] = resolve_dataset(data["dataset"], folder)
    for part in ("val", "test"):
        if isinstance(data.get(part), str) and data[part] != MEMORY:
            path = files.expanded(data[part])
            resolved[part] = os.path.abspath(path) if folder is None else str(folder / path)
    return resolved


def dataset_name(dataset: str) -> str:
    """Return the name of a data set in a study: its own, or ``houses`` for the path data/houses.csv."""
    return files.stem(dataset) if is_path(dataset) else dataset


def _scales(given: str | Sequence[str]) -> list[str]:
    scales = [given] if isinstance(given, str) else list(given)
    for scale in scales:
        if scale not in SCALES:
            raise unknown("scale", scale, SCALES)
    return scales


def _read(
    dataset: str,
    rules: Rules,
    *,
    target: str | None = None,
    scales: Sequence[str],
    data_dir: Path = Path("data"),
    offline: bool = False,
    options: Mapping[str, Any] | None = None,
    columns: Mapping[str, str] | None = None,
    given: Memory | None = None,
) -> Source:
    if dataset == MEMORY:
        return _checked(dataset, memory_source.read(given, target, rules, options or {}, columns or {}), rules, scales)
    own = is_path(dataset)
    options = options or {}
    if not own and dataset not in DATASETS:
        if hint := files.without_suffix(dataset):
            raise RequestError(f"unknown dataset {clip(dataset)!r}{hint}")
        raise RequestError(f"{str(unknown('dataset', dataset, DATASETS))[:-1]}; or a path: {files.KINDS})")
    if target is not None and not own:
        raise files.not_a_table(target, f"dataset {dataset}")
    if columns and not own:
        raise RequestError(f"--column is for a table ({table_files.SHOWN}), got dataset {dataset}")
    if options and not own and dataset not in synthetic.OPTIONS:
        raise RequestError(f"dataset {dataset} takes no options, got {', '.join(sorted(options))}")
    if rules.validation != "train" and not own and dataset not in vision.SOURCES:
        raise RequestError(
            f"validation {rules.validation!r} is for datasets with an official test set ({', '.join(vision.SOURCES)}),"
            f" got dataset {dataset}"
        )
    if not own:
        for name, asked in {**rules.roles, **rules.files}.items():
            if asked is not None:
                raise RequestError(f"{name} {clip(asked)!r} is for data of your own, got dataset {dataset}")
    if own:
        source = files.read(dataset, target, rules, options, columns or {})
    elif dataset in tables.TABLES:
        source = tables.read(dataset)
    elif dataset in synthetic.OPTIONS:
        source = synthetic.draw(dataset, rules.seed, options)
    else:
        source = vision.read(dataset, Path(data_dir), offline)
    return _checked(dataset, source, rules, scales)


def _checked(dataset: str, source: Source, rules: Rules, scales: Sequence[str]) -> Source:
    """Return a data set that has the parts and the scaling that are asked for, with a note if it has no test part."""
    for scale in scales:
        if scale in FOR_NUMBERS and source.pixel_max is not None:
            raise RequestError(
                f"{source.place} has pixels, and scale {scale!r} is for numbers: give --scale standard, unit or none"
            )
    if source.official:
        _validate_given_parts(dataset, source, rules)
    if rules.without_test:
        none_left = f"{source.place}: no test split (test = 0), so no row is left that had no part in a choice"
        source = replace(source, notes=(*source.notes, none_left))
    return source


def _validate_given_parts(dataset: str, source: Source, rules: Rules) -> None:
    """Refuse another validation or test part than the data set's own; its test part may be left out."""
    for name, asked, part in (("val", rules.val, source.val), ("test", rules.test, source.test)):
        if part is not None and asked is not None and not (name == "test" and rules.without_test):
            remedy = "leave it out" if name == "val" else "leave it out, or give 0"
            if dataset in synthetic.OPTIONS:
                remedy = f"give --data n_{name}=N"
            kind = "validation" if name == "val" else "test"
            raise RequestError(f"{source.place} has {kind} rows of its own, so {name} {asked!r} has no place: {remedy}")
