"""The preprocessing of a table: a fitted object that training, the folds of a cross-validation and prediction share.

    numbers         Missing numbers become the median. If a training row misses one, a second input is 1 where it is
                    missing. Large numbers that vary little, such as ids, are shifted before they become float32.
    text            Each value in the training rows, "missing" too, becomes an input that is 1 where a row has this
                    value. A value that is in no training row is 0 in all of them. More than 1,000 values are hashed.
    dates           Year, month, day of the month, weekday, hour and days since the first date, as far as they vary.
    times of day    Sine and cosine.

A column without information in the training rows is left out, with a note: it is constant, always missing, or text that
differs in every row, as names and keys do.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, TypeAlias

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from search.data.column_spec import ColumnSpec
from search.data.encoders import (
    HASHED_INPUTS,
    Category,
    Column,
    DateParts,
    Hashed,
    Missing,
    Number,
    TimeOfDay,
    is_missing,
)
from search.data.features import Feature
from search.data.targets import BadRow, is_too_coarse, validate_range
from search.errors import RequestError, clip, counted, listed
from search.storage.fields import Part

_MOST_VALUES = 1000
# The kind of columns that each encoder takes; `Missing` takes any.
_KINDS = {"number": "number", "category": "category", "hashed": "category", "date": "date", "time": "time"}

Encoder: TypeAlias = Number | Missing | Category | Hashed | DateParts | TimeOfDay
"""An encoder; the field `encoder` of its JSON says which one."""


@dataclass(frozen=True)
class Unfamiliar:
    """What is unusual in the columns of new rows.

    Attributes:
        unseen: the number of rows whose value is in no training row, for each column that has such rows. The values of
            hashed columns are not known, so they are not counted.
        missing: the number of rows without a value, for each column that has such rows.
        never_missing: the columns in `missing` of which no training row misses a value.
    """

    unseen: Mapping[str, int]
    missing: Mapping[str, int]
    never_missing: tuple[str, ...]

    @property
    def notes(self) -> list[str]:
        """One line for the unseen values and one for the missing ones, if there are any."""
        lines = []
        if self.unseen:
            lines.append(
                f"values that no training row has, so that all inputs of their column are 0: {_counts(self.unseen)}"
            )
        if self.missing:
            lines.append(f"cells without a value, treated as in training: {_counts(self.missing)}")
        if self.never_missing:
            lines.append(f"no training row misses a value in: {listed(self.never_missing)}")
        return lines


class Preprocessor(Part):
    """The preprocessing of a table's columns, fitted on training rows; as JSON it is part of a model file.

    Attributes:
        encoders: the encoders, in the order of their inputs.
        notes: what a person should know about the columns, a line each.
        reading: how the file of the table was read, where somebody has said so: separator, encoding, sheet or header of
            `table_files.OPTIONS`. Files of new rows are read in the same way.
        constants: after `refit`, the number of each input that is the same in all training rows, and its value.
    """

    encoders: tuple[Annotated[Encoder, Field(discriminator="encoder")], ...]
    notes: tuple[str, ...] = ()
    reading: Mapping[str, bool | str] = {}
    constants: Mapping[int, float] = {}

    @model_validator(mode="after")
    def _encoders_fit_their_columns(self) -> Preprocessor:
        for encoder in self.encoders:
            kind = encoder.column.kind
            if _KINDS.get(encoder.encoder, kind) != kind:
                raise ValueError(f"encoder {encoder.encoder} is not for a column of kind {kind}")
        return self

    @model_validator(mode="after")
    def _constants_are_inputs(self) -> Preprocessor:
        if self.constants and not 0 <= min(self.constants) <= max(self.constants) < len(self.features):
            raise ValueError(f"constants should be numbers of inputs, from 0 to {len(self.features) - 1}")
        return self

    @classmethod
    def fit(
        cls,
        specs: Sequence[ColumnSpec],
        columns: Mapping[str, Column],
        rows: NDArray[np.int64],
        place: str,
        reading: Mapping[str, bool | str] | None = None,
    ) -> Preprocessor:
        """Fit it on training rows.

        Args:
            specs: how the columns are read, in the order of the table.
            columns: the values of each column in all rows, by name (`search.data.column_kinds.parse`).
            rows: the numbers of the training rows.
            place: the table's name in an error.
            reading: see the class.

        Raises:
            RequestError: a column cannot be used, or no column is left.
        """
        left_out: dict[str, list[str]] = {}
        used: list[ColumnSpec] = []
        for spec in specs:
            if spec.kind != "category":
                validate_range(columns[spec.name], f"{place}: column {clip(spec.name)!r}")
            if reason := _why_useless(spec, columns[spec.name][rows]):
                left_out.setdefault(reason, []).append(spec.name)
            else:
                used.append(spec)
        notes = [f"{place}: left out, {reason}: {listed(names)}" for reason, names in left_out.items()]
        if not used:
            raise RequestError(f"{place} has no column to learn from{f' ({notes[0]})' if notes else ''}")
        numbers = [spec for spec in used if spec.kind == "number"]
        encoders: list[Encoder] = []
        for spec in numbers:
            column = columns[spec.name]
            offset = float(np.round(np.nanmedian(column[rows]))) if is_too_coarse(column) else 0.0
            whole = bool((column == np.floor(column)).all())  # NaN is not
            encoders.append(Number.fit(spec, column[rows], offset, whole=whole))
        encoders += _indicators(numbers, columns, rows)
        for spec in used:
            if spec.kind == "category":
                encoders += _category(spec, columns[spec.name][rows])
        for spec in used:
            if spec.kind in ("date", "time"):
                column = columns[spec.name][rows]
                encoders.append(DateParts.fit(spec, column) if spec.kind == "date" else TimeOfDay(column=spec))
                encoders += _indicators([spec], columns, rows)
        return cls(encoders=tuple(encoders), notes=(*notes, *_described(encoders, place)), reading=reading or {})

    @property
    def features(self) -> tuple[Feature, ...]:
        """The meaning of each input."""
        return tuple(feature for encoder in self.encoders for feature in encoder.features)

    @property
    def specs(self) -> tuple[ColumnSpec, ...]:
        """How the columns that it needs are read, each once."""
        return tuple({encoder.column.name: encoder.column for encoder in self.encoders}.values())

    @property
    def is_plain(self) -> bool:
        """Whether the inputs are the columns' own numbers, in the order of `specs`, and none of them was missing."""
        return all(
            isinstance(encoder, Number)
            and encoder.offset == 0
            and encoder.column == ColumnSpec(name=name, kind="number")
            for encoder in self.encoders
            for name in [encoder.column.name]
        )

    def transform(self, columns: Mapping[str, Column]) -> NDArray[np.float32]:
        """Return the inputs of all rows, ``rows x features``.

        Raises:
            BadRow: a number is infinite, or too large for float32.
        """
        blocks = []
        for encoder in self.encoders:
            with np.errstate(over="ignore"):
                block = encoder.encode(columns[encoder.column.name])
            if (bad := np.flatnonzero(~np.isfinite(block).all(axis=1))).size:
                raise BadRow(f"column {clip(encoder.column.name)!r} is infinite or too large for float32", bad[0])
            blocks.append(block)
        encoded = np.hstack(blocks)
        encoded[:, list(self.constants)] = list(self.constants.values())
        return encoded

    def refit(self, columns: Mapping[str, Column], rows: NDArray[np.int64]) -> Preprocessor:
        """Return the preprocessing with the same features, but with the statistics of other training rows.

        The features are those of the rows that `fit` had, such as the training rows of all folds together; a median is
        that of these rows. An input that is the same in all of them, such as 0 for a value that does not occur, is the
        same everywhere: nothing is learned about it, so no other row may differ in it.
        """
        encoders = tuple(encoder.refit(columns[encoder.column.name][rows]) for encoder in self.encoders)
        refitted = self.model_copy(update={"encoders": encoders, "constants": {}})
        train = refitted.transform({spec.name: columns[spec.name][rows] for spec in self.specs})
        same = np.flatnonzero((train == train[:1]).all(axis=0))
        return refitted.model_copy(update={"constants": {int(place): float(train[0, place]) for place in same}})

    def unfamiliar(self, columns: Mapping[str, Column]) -> Unfamiliar:
        """Count the values of new rows that no training row has, and their missing cells, by column."""
        unseen = {}
        for encoder, first in zip(self.encoders, self._starts(), strict=True):
            if isinstance(encoder, Category):
                places = {value: first + place for place, value in enumerate(encoder.values)}
                known = {None, *(value for value, place in places.items() if self.constants.get(place) != 0)}
                unseen[encoder.column.name] = sum(value not in known for value in columns[encoder.column.name])
        missing = {spec.name: int(is_missing(columns[spec.name]).sum()) for spec in self.specs}
        indicated = {feature.column for feature in self.features if feature.missing}
        return Unfamiliar(
            {name: count for name, count in unseen.items() if count},
            {name: count for name, count in missing.items() if count},
            tuple(name for name, count in missing.items() if count and name not in indicated),
        )

    def _starts(self) -> list[int]:
        """Return the number of the first input of each encoder."""
        widths = [len(encoder.features) for encoder in self.encoders]
        return [0, *np.cumsum(widths)[:-1].tolist()]


def _indicators(
    specs: Iterable[ColumnSpec], columns: Mapping[str, Column], rows: NDArray[np.int64]
) -> Iterable[Encoder]:
    return [Missing(column=spec) for spec in specs if is_missing(columns[spec.name][rows]).any()]


def _category(spec: ColumnSpec, train: Column) -> list[Encoder]:
    different = set(train)
    if len(different) <= _MOST_VALUES:
        return [Category.fit(spec, train)]
    return [Hashed(column=spec), *([Missing(column=spec)] if None in different else [])]


def _why_useless(spec: ColumnSpec, train: Column) -> str:
    """Return the reason why a column holds no information, or "" if it does."""
    missing = is_missing(train)
    known = train[~missing]
    if not known.size:
        return "missing in every training row"
    different = len(set(known)) if spec.kind == "category" else len(np.unique(known))
    if different == 1 and not missing.any():
        return "the same in every training row"
    if spec.kind == "category" and different == len(known) > 1:
        return "text that is different in every training row"
    return ""


def _described(encoders: Sequence[Encoder], place: str) -> Iterable[str]:
    """Say what becomes of columns that are neither plain numbers nor one input for each value."""
    for encoder in encoders:
        shown = f"{place}: column {clip(encoder.column.name)!r}"
        if isinstance(encoder, Number) and encoder.offset:
            yield f"{shown} varies little around large numbers: {encoder.offset:.15g} is subtracted from them"
        elif isinstance(encoder, Hashed):
            yield (
                f"{shown} has more than {_MOST_VALUES:,} different texts: a hash of the text chooses one of"
                f" {HASHED_INPUTS} inputs; leave it out with --data drop={clip(encoder.column.name)}"
            )
        elif isinstance(encoder, DateParts):
            first = datetime.datetime(1970, 1, 1) + datetime.timedelta(seconds=encoder.first)
            yield f"{shown} holds dates: their inputs are {', '.join(encoder.parts)} (counted from {first:%Y-%m-%d})"
        elif isinstance(encoder, TimeOfDay):
            yield f"{shown} holds times of the day: their inputs are sine and cosine on a clock of 24 hours"


def _counts(found: Mapping[str, int]) -> str:
    return listed([f"{name} ({counted(count, 'row')})" for name, count in found.items()])
