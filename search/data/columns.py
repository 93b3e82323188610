"""Turn a table's columns into inputs by scikit-learn's preprocessing, which is fitted on the training rows alone.

    numbers   Missing numbers become the median. If a training row misses one, a second input is 1 where it is missing.
    text      Each value in the training rows, "missing" too, becomes an input that is 1 where a row has this value. A
              value that is in no training row is 0 in all of them.

A column without information in the training rows is left out, with a note: it is constant, always missing, or text that
differs in every row, as names and keys do.
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
from search.data.targets import validate_column
from search.errors import EnvironmentFault, RequestError, clip, listed

_MOST_VALUES = 1000

Column = NDArray[Any]
"""A column: float64 numbers with NaN for missing ones, or objects that are text or None (missing)."""


@dataclass(frozen=True, eq=False)
class Encoded:
    """The inputs of a table.

    Attributes:
        parts: the inputs of each part, ``rows x features`` float32.
        features: the meaning of each input.
        notes: what a person should know about the columns, a line each.
    """

    parts: tuple[Tensor, ...]
    features: tuple[Feature, ...]
    notes: tuple[str, ...]


def encode(columns: Mapping[str, Column], place: str, parts: Sequence[NDArray[np.int64]]) -> Encoded:
    """Make inputs of a table's columns.

    Args:
        columns: the columns, by name.
        place: the table's name in an error.
        parts: the row numbers of each part; the first part holds the training rows.

    Raises:
        RequestError: a column cannot be used, or no column is left.
    """
    without: dict[str, list[str]] = {}
    numeric, text = [], []
    for name, column in columns.items():
        shown = f"{place}: column {clip(name)!r}"
        if column.dtype != object:
            validate_column(column, shown)
        if reason := _why_useless(column[parts[0]]):
            without.setdefault(reason, []).append(name)
            continue
        if column.dtype != object:
            numeric.append(name)
            continue
        different = len(set(column[parts[0]]))
        if different > _MOST_VALUES:
            raise RequestError(
                f"{shown} holds {different:,} different texts, too many for an input each"
                f" (at most {_MOST_VALUES:,}): leave it out with --data drop={clip(name)}"
            )
        text.append(name)
    notes = [f"{place}: left out, {reason}: {listed(names)}" for reason, names in without.items()]
    if not numeric and not text:
        raise RequestError(f"{place} has no column to learn from{f' ({notes[0]})' if notes else ''}")
    blocks: list[list[NDArray[np.float32]]] = []
    features: list[Feature] = []
    for names, encoder in ((numeric, _impute), (text, _one_hot)):
        if names:
            matrix = np.column_stack([columns[name] for name in names])
            encoded, described = encoder(names, [matrix[rows] for rows in parts])
            blocks.append(encoded)
            features += described
    joined = (torch.from_numpy(np.hstack(part)) for part in zip(*blocks, strict=True))
    return Encoded(tuple(joined), tuple(features), tuple(notes))


def _why_useless(train: Column) -> str:
    """Return the reason why a column holds no information, or "" if it does."""
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


def _impute(
    names: Sequence[str], parts: Sequence[NDArray[np.float64]]
) -> tuple[list[NDArray[np.float32]], Iterator[Feature]]:
    imputer = _scikit_learn("impute").SimpleImputer(strategy="median", add_indicator=True)
    imputer.fit(parts[0])
    encoded = [imputer.transform(part).astype(np.float32) for part in parts]

    def described() -> Iterator[Feature]:
        for name, median in zip(names, imputer.statistics_, strict=True):
            yield Feature(name, fill=float(median))
        for number in imputer.indicator_.features_:
            yield Feature(names[number], missing=True)

    return encoded, described()


def _one_hot(
    names: Sequence[str], parts: Sequence[NDArray[Any]]
) -> tuple[list[NDArray[np.float32]], Iterator[Feature]]:
    encoder = _scikit_learn("preprocessing").OneHotEncoder(
        handle_unknown="ignore", sparse_output=False, dtype=np.float32
    )
    encoder.fit(parts[0])
    encoded = [encoder.transform(part) for part in parts]

    def described() -> Iterator[Feature]:
        for name, values in zip(names, encoder.categories_, strict=True):
            for value in values:
                yield Feature(name, missing=True) if value is None else Feature(name, equals=value)

    return encoded, described()


def _scikit_learn(module: str) -> Any:
    import importlib

    try:
        return importlib.import_module(f"sklearn.{module}")
    except ImportError as error:
        raise EnvironmentFault(f"tables need scikit-learn, which cannot be imported ({error})") from error
