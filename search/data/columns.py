"""Columns of a table as the network's inputs, by scikit-learn's preprocessing, fitted on the training rows alone.

    numbers   the median where missing; a second input, 1 where it was, if any training row misses it
    text      one input for each value in the training rows, 1 where the row has it, so also for "missing"; a value
              that no training row has is 0 in all of them

A column that says nothing in the training rows is left out, with a note: always the same, always missing, or text that
is different in every row, as names and keys are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from search.data.dataset import Feature
from search.data.targets import checked_column
from search.errors import EnvironmentFault, RequestError, clip, listed

_MOST_VALUES = 1000

Column = NDArray[Any]
"""Numbers, float64 and NaN where missing; or objects: text, None where missing."""


@dataclass(frozen=True, eq=False)
class Encoded:
    """Inputs of each part ``rows x features`` float32, what each of them is, and what a person should know."""

    parts: tuple[Tensor, ...]
    features: tuple[Feature, ...]
    notes: tuple[str, ...]


def encode(columns: Mapping[str, Column], place: str, parts: Sequence[NDArray[np.int64]]) -> Encoded:
    """The columns of a table as inputs.

    Args:
        place: what an error calls the table.
        parts: row numbers of each part; the first is that of the training rows.

    Raises:
        RequestError: a column is not fit for it, or none is left.
    """
    without: dict[str, list[str]] = {}
    numeric, text = [], []
    for name, column in columns.items():
        shown = f"{place}: column {clip(name)!r}"
        if column.dtype != object:
            checked_column(column, shown)
        if reason := _says_nothing(column[parts[0]]):
            without.setdefault(reason, []).append(name)
            continue
        if column.dtype != object:
            numeric.append(name)
            continue
        different = len(set(column[parts[0]]))
        if different > _MOST_VALUES:
            raise RequestError(
                f"{shown} holds text of {different:,} different values, too many for an input each"
                f" (at most {_MOST_VALUES:,}): leave it out with --data drop={clip(name)}"
            )
        text.append(name)
    notes = [f"{place}: left out, {reason}: {listed(names)}" for reason, names in without.items()]
    if not numeric and not text:
        raise RequestError(f"{place} has no column to learn from{f' ({notes[0]})' if notes else ''}")
    blocks: list[list[NDArray[np.float32]]] = []
    features: list[Feature] = []
    for names, fitted in ((numeric, _numbers), (text, _values)):
        if names:
            matrix = np.column_stack([columns[name] for name in names])
            made, described = fitted(names, [matrix[rows] for rows in parts])
            blocks.append(made)
            features += described
    joined = (torch.from_numpy(np.hstack(part)) for part in zip(*blocks, strict=True))
    return Encoded(tuple(joined), tuple(features), tuple(notes))


def _says_nothing(train: Column) -> str:
    """Why the column is of no use, "" where it is of some."""
    missing = np.array([value is None for value in train]) if train.dtype == object else np.isnan(train)
    known = train[~missing]
    if not known.size:
        return "missing in every training row"
    different = len(set(known)) if train.dtype == object else len(np.unique(known))
    if different == 1 and not missing.any():
        return "the same in every training row"
    if train.dtype == object and different == len(known) > 1:
        return "text that is different in every training row"
    return ""


def _numbers(
    names: Sequence[str], parts: Sequence[NDArray[np.float64]]
) -> tuple[list[NDArray[np.float32]], Iterator[Feature]]:
    imputer = _scikit_learn("impute").SimpleImputer(strategy="median", add_indicator=True)
    imputer.fit(parts[0])
    made = [imputer.transform(part).astype(np.float32) for part in parts]

    def described() -> Iterator[Feature]:
        for name, median in zip(names, imputer.statistics_, strict=True):
            yield Feature(name, fill=float(median))
        for number in imputer.indicator_.features_:
            yield Feature(names[number], missing=True)

    return made, described()


def _values(names: Sequence[str], parts: Sequence[NDArray[Any]]) -> tuple[list[NDArray[np.float32]], Iterator[Feature]]:
    encoder = _scikit_learn("preprocessing").OneHotEncoder(
        handle_unknown="ignore", sparse_output=False, dtype=np.float32
    )
    encoder.fit(parts[0])
    made = [encoder.transform(part) for part in parts]

    def described() -> Iterator[Feature]:
        for name, values in zip(names, encoder.categories_, strict=True):
            for value in values:
                yield Feature(name, missing=True) if value is None else Feature(name, equals=value)

    return made, described()


def _scikit_learn(module: str) -> Any:
    import importlib

    try:
        return importlib.import_module(f"sklearn.{module}")
    except ImportError as error:
        raise EnvironmentFault(f"tables need scikit-learn, which does not import ({error})") from error
