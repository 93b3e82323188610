"""The inputs of all rows of a data set, before scaling, whose encoding is fitted on some of the rows.

`fit` decides which features there are and what they mean; `refit` computes their statistics once more, from other rows,
and keeps the features. So the folds of a cross-validation have the same features.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from search.data import columns
from search.data.columns import Column
from search.data.dataset import Feature
from search.data.targets import BadRow
from search.errors import RequestError, counted


class Inputs(Protocol):
    """What `Source.inputs` does. Rows are row numbers, int64."""

    @property
    def features(self) -> tuple[Feature, ...]:
        """The meaning of each feature; () where a file gives numbers or pixels."""
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
    features: tuple[Feature, ...] = ()
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
    """The columns of a table, encoded by `columns.encode`.

    Attributes:
        columns: the columns, by name.
        place: the table's name in an error.
        where: a function that returns the words for the place of a row.
        x: the encoded rows, ``rows x features`` float32; empty before `fit`.
    """

    columns: Mapping[str, Column]
    place: str
    where: Callable[[int], str]
    x: Tensor = field(default_factory=lambda: torch.zeros(0))
    features: tuple[Feature, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def summary(self) -> str:
        used = len({feature.column for feature in self.features})
        return f"{counted(used, 'column')}, {counted(len(self.features), 'input')}"

    def fit(self, rows: Tensor) -> Table:
        every = np.arange(len(next(iter(self.columns.values()), ())))
        try:
            encoded = columns.encode(self.columns, self.place, [rows.numpy(), every])
        except BadRow as bad:
            raise RequestError(f"{bad.what} in {self.where(bad.row)}") from None
        return replace(self, x=encoded.parts[1], features=encoded.features, notes=encoded.notes)

    def refit(self, rows: Tensor) -> Table:
        x, features = self.x.clone(), list(self.features)
        for number, feature in enumerate(self.features):
            if feature.fill is not None:
                column = self.columns[feature.column]
                missing = np.isnan(column)
                known = column[rows.numpy()][~missing[rows.numpy()]]
                fill = float(np.median(known)) if len(known) else 0.0
                features[number] = replace(feature, fill=fill)
                x[torch.from_numpy(missing), number] = fill
        # What is constant in these rows teaches nothing, so no other row may differ in it: `fit` would have left the
        # column out, or have made a value that it had not seen 0.
        chosen = x[rows]
        constant = (chosen == chosen[:1]).all(dim=0)
        x[:, constant] = chosen[0, constant]
        return replace(self, x=x, features=tuple(features))

    def take(self, rows: Tensor) -> Tensor:
        return self.x[rows]
