"""What a dataset is: `Raw` as its source gives it, `Data` as training takes it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Literal

from torch import Tensor

from search.data.scaling import Scaling
from search.errors import counted
from search.show import html

Task = Literal["classification", "regression"]


@dataclass(frozen=True, eq=False)
class Rows:
    """Rows of one part, unscaled: x (rows, features) uint8 or float32; y (rows,) int64 or (rows, outputs) float32."""

    x: Tensor
    y: Tensor

    def take(self, index: Tensor) -> Rows:
        """A copy of the rows at `index` (int64), in that order."""
        return Rows(self.x[index], self.y[index])


@dataclass(frozen=True)
class Feature:
    """What an input is made of, where it comes from a table: a number, or 1 or 0 for yes or no.

    Attributes:
        column: of the table.
        equals: 1 where the column has this text.
        missing: 1 where the column has nothing.
        fill: the column's number, and this one where it has none.
    """

    column: str
    equals: str | None = None
    missing: bool = False
    fill: float | None = None

    def __str__(self) -> str:
        """``rooms``, ``town = Bern`` or ``town missing``."""
        if self.missing:
            return f"{self.column} missing"
        return self.column if self.equals is None else f"{self.column} = {self.equals}"


@dataclass(frozen=True, eq=False)
class Raw:
    """A dataset split but not yet scaled.

    Attributes:
        pixel_max: the largest value a pixel can have, None where features are not pixels.
        channels: how many equal, consecutive groups of features share one mean and SD; None where each has its own.
        columns, notes: as in `Data`.
    """

    task: Task
    train: Rows
    val: Rows
    test: Rows
    classes: tuple[str, ...] = ()
    image_shape: tuple[int, int, int] | None = None
    pixel_max: int | None = None
    channels: int | None = None
    columns: tuple[Feature, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Data:
    """A dataset ready for training.

    Attributes:
        x_train, x_val, x_test: (rows, features) float32, scaled by `inputs`.
        y_train, y_val, y_test: (rows,) int64 class numbers, or (rows, outputs) float32, scaled by `targets`.
        outputs: classes, or target columns.
        inputs: x = (raw - shift) / scale.
        targets: the same for regression targets; None for classification. An error of e in y is an error of
            e * targets.scale in the user's units.
        image_shape: (channels, height, width) of a row of x, None where rows are not images.
        classes: the names of the classes in the order of their numbers, () for regression.
        pixel_max: the largest raw value a pixel can have (the smallest is 0), None where features are not pixels.
        columns: what each feature is made of, before it is scaled; () where the dataset is no table of the user's.
        notes: what was done to the user's file, a line each.
    """

    name: str
    task: Task
    x_train: Tensor
    y_train: Tensor
    x_val: Tensor
    y_val: Tensor
    x_test: Tensor
    y_test: Tensor
    outputs: int
    inputs: Scaling
    targets: Scaling | None
    image_shape: tuple[int, int, int] | None
    classes: tuple[str, ...]
    pixel_max: float | None
    columns: tuple[Feature, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def features(self) -> int:
        """Columns of x."""
        return self.x_train.shape[1]

    @property
    def metric(self) -> str:
        """The name of what a person reads beside the validation loss."""
        return "val_accuracy" if self.task == "classification" else "val_rmse"

    def _repr_html_(self) -> str:
        return html.block(html.facts(self.name, {"self": self.described(), "notes": "; ".join(self.notes)}))

    def described(self) -> str:
        """Name the data and their task, and count inputs, outputs and rows."""
        rows = " + ".join(f"{len(part):,}" for part in (self.x_train, self.x_val, self.x_test))
        outputs = f"{self.outputs:,} classes" if self.task == "classification" else counted(self.outputs, "target")
        inputs = counted(self.features, "input")
        return f"{self.name}: {self.task}, {inputs}, {outputs}; {rows} rows to train, validate and test"

    def fingerprint(self) -> str:
        """16 hex digits of the SHA-256 of the task and all tensors (name, type, shape, bytes), on whatever device."""
        digest = hashlib.sha256(self.task.encode())
        for name, tensor in self._tensors():
            digest.update(f"|{name}:{tensor.dtype}:{tuple(tensor.shape)}|".encode())
            digest.update(tensor.detach().cpu().contiguous().numpy().data)
        return digest.hexdigest()[:16]

    def _tensors(self) -> Iterator[tuple[str, Tensor]]:
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, Tensor):
                yield field.name, value
            elif isinstance(value, Scaling):
                yield f"{field.name}.shift", value.shift
                yield f"{field.name}.scale", value.scale
