"""The inputs of all rows of a data set, before scaling, whose encoding is fitted on some of the rows.

`fit` decides which features there are and what they mean; `refit` computes their statistics once more, from other rows,
and keeps the features. So the folds of a cross-validation have the same features.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol

import torch
from torch import Tensor

from search.data.column_spec import ColumnSpec
from search.data.columns import Preprocessor
from search.data.encoders import Column
from search.data.targets import BadRow
from search.errors import RequestError, counted


class Inputs(Protocol):
    """What `Source.inputs` does. Rows are row numbers, int64."""

    @property
    def preprocessor(self) -> Preprocessor | None:
        """What encodes the columns of a table, once fitted; None where a file gives numbers or pixels."""
        ...

    @property
    def summary(self) -> str:
        """How many inputs come from how many columns, once fitted; "" where a file gives numbers or pixels."""
        ...

    @property
    def notes(self) -> tuple[str, ...]:
        """What a person should know about the encoding, a line each."""
        ...

    def fit(self, rows: Tensor) -> Inputs:
        """Return the inputs with the features and statistics of these rows."""
        ...

    def refit(self, rows: Tensor) -> Inputs:
        """Return fitted inputs with the same features, and the statistics of these rows."""
        ...

    def take(self, rows: Tensor) -> Tensor:
        """Return the features of these rows, ``rows x features``, uint8 or float32."""
        ...


@dataclass(frozen=True, eq=False)
class Numbers:
    """Inputs that are numbers or pixels already, ``rows x features``: there is nothing to fit."""

    x: Tensor
    preprocessor: None = None
    summary: str = ""
    notes: tuple[str, ...] = ()

    def fit(self, _rows: Tensor) -> Numbers:
        return self

    def refit(self, _rows: Tensor) -> Numbers:
        return self

    def take(self, rows: Tensor) -> Tensor:
        return self.x[rows]


@dataclass(frozen=True, eq=False)
class Table:
    """The columns of a table, encoded by a `Preprocessor`.

    Attributes:
        specs: how the columns to learn from are read, by name and in order.
        columns: the columns, by name; there may be others.
        place: the table's name in an error.
        where: a function that returns the words for the place of a row.
        reading: how the file was read, where somebody has said so; see `Preprocessor`.
        preprocessor: the fitted preprocessing; None before `fit`.
        x: the encoded rows, ``rows x features`` float32; empty before `fit`.
    """

    specs: Mapping[str, ColumnSpec]
    columns: Mapping[str, Column]
    place: str
    where: Callable[[int], str]
    reading: Mapping[str, bool | str] = field(default_factory=dict)
    preprocessor: Preprocessor | None = None
    x: Tensor = field(default_factory=lambda: torch.zeros(0))

    @property
    def summary(self) -> str:
        if self.preprocessor is None:
            return ""
        columns, features = self.preprocessor.specs, self.preprocessor.features
        return f"{counted(len(columns), 'column')}, {counted(len(features), 'input')}"

    @property
    def notes(self) -> tuple[str, ...]:
        return () if self.preprocessor is None else self.preprocessor.notes

    def fit(self, rows: Tensor) -> Table:
        specs = tuple(self.specs.values())
        return self._with(lambda: Preprocessor.fit(specs, self.columns, rows.numpy(), self.place, self.reading))

    def refit(self, rows: Tensor) -> Table:
        fitted = self.preprocessor
        assert fitted is not None
        return self._with(lambda: fitted.refit(self.columns, rows.numpy()))

    def take(self, rows: Tensor) -> Tensor:
        return self.x[rows]

    def _with(self, fit: Callable[[], Preprocessor]) -> Table:
        try:
            preprocessor = fit()
            x = torch.from_numpy(preprocessor.transform(self.columns))
        except BadRow as bad:
            raise RequestError(bad.at(self.where(bad.row))) from None
        return replace(self, preprocessor=preprocessor, x=x)
