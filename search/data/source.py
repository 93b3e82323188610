"""`Source`: a data set that is read, but neither split nor scaled."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from search.data.features import Task
from search.data.inputs import Inputs


def numbered(row: int) -> str:
    """Return the place of a row, counted from 0, in a data set without lines."""
    return f"row {row + 1}"


@dataclass(frozen=True, eq=False)
class Source:
    """All rows of a data set. Those of its own test or validation part come after the others.

    Attributes:
        place: the name of the data set in notes and errors: ``homes.csv`` or ``dataset digits``.
        task: "classification" or "regression".
        y: class numbers ``(rows,)`` int64, or targets ``rows x outputs`` float32.
        inputs: the inputs of the rows.
        val, test: the row numbers of parts that are given, from a file of their own or an official test set; else None.
        official: whether a part is given by the data set itself, not by a file of the user's.
        groups: the number of each row's group, ``(rows,)`` int64, or None.
        group_names: the names of the groups in the order of their numbers.
        times: the time of each row, ``(rows,)`` float64, or None.
        weights: the weight of each row, ``(rows,)`` float64, or None.
        where: a function that returns the words for the place of a row.
        classes, target_names, image_shape, notes: as in `Data`.
        pixel_max: the largest possible value of a pixel, or None if features are not pixels.
        channels: the number of equal, consecutive groups of features that share one mean and SD, or None if each
            feature has its own.
    """

    place: str
    task: Task
    y: Tensor
    inputs: Inputs
    val: Tensor | None = None
    test: Tensor | None = None
    official: bool = False
    groups: Tensor | None = None
    group_names: Sequence[Any] = ()
    times: NDArray[np.float64] | None = None
    weights: NDArray[np.float64] | None = None
    where: Callable[[int], str] = numbered
    classes: tuple[str, ...] = ()
    target_names: tuple[str, ...] = ()
    image_shape: tuple[int, int, int] | None = None
    pixel_max: int | None = None
    channels: int | None = None
    notes: tuple[str, ...] = ()

    @property
    def own(self) -> Tensor:
        """The row numbers that are in no given part, from 0 up."""
        given = sum(len(part) for part in (self.val, self.test) if part is not None)
        return torch.arange(len(self.y) - given)

    @property
    def labels(self) -> Tensor | None:
        """The class numbers by which a split is stratified, or None for regression."""
        return self.y if self.task == "classification" else None
