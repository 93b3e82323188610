"""The encoders of a table's columns: what each makes of a column's values, fitted on training rows.

An encoder is an immutable table of numbers and words, so that it can be written as JSON. Its features are fixed by
`fit`; `refit` keeps them and takes the statistics, such as medians, from other rows.

    Number      ``value - offset``; a missing one becomes the median
    Missing     1 where the column has no value
    Category    an input for each value, "missing" too: 1 where the row has this value
    Hashed      for many values: each value is +1 or -1 in one of 64 inputs (feature hashing)
    DateParts   year, month, day of the month, weekday, hour, days since the first date; missing ones become the median
    TimeOfDay   sine and cosine of the angle on a clock face of 24 hours; 0 and 0 if it is missing

Source of feature hashing: Weinberger et al., "Feature hashing for large scale multitask learning" (ICML 2009).
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, Literal, Self, get_args

import numpy as np
from numpy.typing import NDArray
from pydantic import model_validator

from search.data.column_spec import ColumnSpec
from search.data.features import Feature
from search.errors import EnvironmentFault
from search.storage.fields import Part

Column = NDArray[Any]
"""A column: float64 numbers with NaN for missing ones, or objects that are text or None (missing)."""

Floats = NDArray[np.float64]

HASHED_INPUTS = 64
_DAY = 86_400.0
DatePart = Literal["year", "month", "day", "weekday", "hour", "elapsed days"]
_DATE_PARTS: tuple[DatePart, ...] = get_args(DatePart)


def is_missing(column: Column) -> NDArray[np.bool_]:
    """Return which values of a column are missing."""
    if column.dtype == object:
        return np.array([value is None for value in column], dtype=bool)
    return np.isnan(column)


def is_whole(text: str) -> bool:
    """Return whether a text is a whole number as Python writes it, unlike ``07``."""
    return text.removeprefix("-").isdecimal() and str(int(text)) == text


class BaseEncoder(Part):
    """One or more inputs that are made of one column.

    Attributes:
        column: how the column is read.
    """

    column: ColumnSpec

    @property
    @abstractmethod
    def features(self) -> tuple[Feature, ...]:
        """The meaning of each input."""

    @abstractmethod
    def encode(self, column: Column) -> NDArray[np.float32]:
        """Return the inputs of all rows of the column, ``rows x features``."""

    @abstractmethod
    def refit(self, column: Column) -> Self:
        """Return the same encoder with the statistics of this column, which holds the training rows alone."""


class Number(BaseEncoder):
    """A number: ``value - offset``, where a missing value is the median.

    Attributes:
        median: the median of the training rows; None if all of them miss it, and then the input is always 0.
        offset: what is subtracted before the number becomes float32; 0 except for large numbers that vary little.
        whole: whether all rows of the table have a whole number.
    """

    encoder: Literal["number"] = "number"
    median: float | None
    offset: float = 0.0
    whole: bool = False

    @classmethod
    def fit(cls, spec: ColumnSpec, column: Column, offset: float = 0.0, *, whole: bool = False) -> Number:
        """Fit it to the training rows of a column."""
        return cls(column=spec, median=_median(column), offset=offset, whole=whole)

    @property
    def features(self) -> tuple[Feature, ...]:
        """One feature."""
        return (Feature(self.column.name, fill=self.median, offset=self.offset),)

    def encode(self, column: Column) -> NDArray[np.float32]:
        """Return the numbers, ``rows x 1``."""
        if self.median is None:
            return np.zeros((len(column), 1), np.float32)
        values = np.where(np.isnan(column), self.median, column) - self.offset
        return np.asarray(values, np.float32)[:, None]

    def refit(self, column: Column) -> Number:
        """Return it with the median of these rows."""
        return self.model_copy(update={"median": _median(column)})


class Missing(BaseEncoder):
    """1 where the column has no value."""

    encoder: Literal["missing"] = "missing"

    @property
    def features(self) -> tuple[Feature, ...]:
        """One feature."""
        return (Feature(self.column.name, missing=True),)

    def encode(self, column: Column) -> NDArray[np.float32]:
        """Return ones and zeros, ``rows x 1``."""
        return is_missing(column).astype(np.float32)[:, None]

    def refit(self, column: Column) -> Missing:
        """Return itself: it has no statistics."""
        del column
        return self


class Category(BaseEncoder):
    """An input for each value, which is 1 where a row has this value (one-hot).

    Attributes:
        values: the values in alphabetical order; None, the missing value, is the last one.
    """

    encoder: Literal["category"] = "category"
    values: tuple[str | None, ...]

    @classmethod
    def fit(cls, spec: ColumnSpec, column: Column) -> Category:
        """Fit it to the training rows of a column."""
        different = set(column)
        missing = (None,) if None in different else ()
        return cls(column=spec, values=(*sorted(different - {None}), *missing))

    @property
    def features(self) -> tuple[Feature, ...]:
        """A feature for each value."""
        name = self.column.name
        return tuple(Feature(name, missing=True) if v is None else Feature(name, equals=v) for v in self.values)

    def encode(self, column: Column) -> NDArray[np.float32]:
        """Return ones and zeros, ``rows x values``; a value that is not in the training rows is 0 in all."""
        number = {value: place for place, value in enumerate(self.values)}
        places = np.array([number.get(value, -1) for value in column], dtype=np.int64)
        encoded = np.zeros((len(column), len(self.values)), np.float32)
        known = np.flatnonzero(places >= 0)
        encoded[known, places[known]] = 1
        return encoded

    def refit(self, column: Column) -> Category:
        """Return itself: it has no statistics."""
        del column
        return self


class Hashed(BaseEncoder):
    """A text of many values: each is +1 or -1 in one of 64 inputs, which a hash of it chooses. Missing: all are 0."""

    encoder: Literal["hashed"] = "hashed"

    @property
    def features(self) -> tuple[Feature, ...]:
        """The features of a fixed number of hashes."""
        return tuple(Feature(self.column.name, part=f"hash {number}") for number in range(HASHED_INPUTS))

    def encode(self, column: Column) -> NDArray[np.float32]:
        """Return numbers in {-1, 0, 1}, ``rows x 64``."""
        try:
            from sklearn.feature_extraction import FeatureHasher
        except ImportError as error:
            raise EnvironmentFault(f"tables need scikit-learn, which cannot be imported ({error})") from error
        hasher = FeatureHasher(HASHED_INPUTS, input_type="string", dtype=np.float32)
        hashed: NDArray[np.float32] = hasher.transform([] if v is None else [v] for v in column).toarray()
        return hashed

    def refit(self, column: Column) -> Hashed:
        """Return itself: it has no statistics."""
        del column
        return self


class DateParts(BaseEncoder):
    """A date, as seconds since 1970, in the parts that vary.

    Attributes:
        parts: the parts that are inputs: year, month, day (of the month), weekday (Monday is 0), hour, elapsed days.
        first: the first date of the training rows, from which days are counted.
        medians: the median of each part, for a missing date; None if all training rows miss it.
    """

    encoder: Literal["date"] = "date"
    parts: tuple[DatePart, ...]
    first: float
    medians: tuple[float, ...] | None

    @model_validator(mode="after")
    def _each_part_has_a_median(self) -> Self:
        if self.medians is not None and len(self.medians) != len(self.parts):
            raise ValueError(f"medians should be one for each of {len(self.parts)} parts, got {len(self.medians)}")
        return self

    @classmethod
    def fit(cls, spec: ColumnSpec, column: Column) -> DateParts:
        """Fit it to the training rows of a column, with the parts that are not the same in all of them."""
        first = float(np.nanmin(column))
        known = column[~np.isnan(column)]
        varying = [part for part in _DATE_PARTS if len(np.unique(_date_part(known, part, first))) > 1]
        # A column with missing dates may hold one date only: the indicator tells these rows apart.
        parts: tuple[DatePart, ...] = tuple(varying) or ("elapsed days",)
        return cls(column=spec, parts=parts, first=first, medians=None).refit(column)

    @property
    def features(self) -> tuple[Feature, ...]:
        """A feature for each part."""
        fills = self.medians or (None,) * len(self.parts)
        name = self.column.name
        return tuple(Feature(name, fill=fill, part=part) for part, fill in zip(self.parts, fills, strict=True))

    def encode(self, column: Column) -> NDArray[np.float32]:
        """Return the parts, ``rows x parts``."""
        encoded = np.zeros((len(column), len(self.parts)), np.float32)
        if self.medians is None:
            return encoded
        missing = np.isnan(column)
        for place, (part, median) in enumerate(zip(self.parts, self.medians, strict=True)):
            encoded[missing, place] = median
            encoded[~missing, place] = _date_part(column[~missing], part, self.first)
        return encoded

    def refit(self, column: Column) -> DateParts:
        """Return it with the first date and the medians of these rows."""
        known = column[~np.isnan(column)]
        if not known.size:
            return self.model_copy(update={"medians": None})
        first = float(known.min())
        medians = tuple(float(np.median(_date_part(known, part, first))) for part in self.parts)
        return self.model_copy(update={"first": first, "medians": medians})


class TimeOfDay(BaseEncoder):
    """A time of the day, as seconds since midnight: its place on a circle, so that 23:59 and 0:00 are neighbours."""

    encoder: Literal["time"] = "time"

    @property
    def features(self) -> tuple[Feature, ...]:
        """Sine and cosine."""
        return tuple(Feature(self.column.name, fill=0.0, part=part) for part in ("sine", "cosine"))

    def encode(self, column: Column) -> NDArray[np.float32]:
        """Return ``sin(2 pi t)`` and ``cos(2 pi t)`` of the time t as a share of the day, ``rows x 2``."""
        angle = 2 * np.pi * column / _DAY
        return np.asarray(np.nan_to_num(np.column_stack([np.sin(angle), np.cos(angle)])), np.float32)

    def refit(self, column: Column) -> TimeOfDay:
        """Return itself: it has no statistics."""
        del column
        return self


def _median(column: Column) -> float | None:
    known = column[~np.isnan(column)]
    return float(np.median(known)) if known.size else None


def _date_part(seconds: Floats, part: DatePart, first: float) -> Floats:
    """Return a part of dates, none of which is missing."""
    days = np.floor(seconds / _DAY)
    date = days.astype(np.int64).astype("datetime64[D]")
    month = date.astype("datetime64[M]")
    match part:
        case "year":
            return np.asarray(date.astype("datetime64[Y]").astype(np.float64) + 1970)
        case "month":
            return np.asarray(month.astype(np.float64) % 12 + 1)
        case "day":
            return np.asarray((date - month).astype(np.float64) + 1)
        case "weekday":
            return np.asarray((days + 3) % 7)  # 1 January 1970 was a Thursday
        case "hour":
            return np.asarray(np.floor((seconds - days * _DAY) / 3600))
        case "elapsed days":
            return np.asarray((seconds - first) / _DAY)
