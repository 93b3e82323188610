"""`Data`: a data set as training takes it, split and scaled."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING

from torch import Tensor

from search.data.features import Feature, Task
from search.data.piecewise import PiecewiseLinear
from search.data.scaling import Scaling
from search.errors import counted
from search.show import html

if TYPE_CHECKING:
    from search.data.columns import Preprocessor


@dataclass(frozen=True, eq=False)
class Data:
    """A data set that is ready for training.

    Attributes:
        name: the name of the data set in a study.
        task: "classification" or "regression".
        x_train, x_val, x_test: the inputs, ``rows x features`` float32, scaled by `inputs`.
        y_train, y_val, y_test: class numbers ``(rows,)`` int64, or targets ``rows x outputs`` float32, scaled by
            `targets`.
        outputs: the number of classes or of target columns.
        inputs: the scaling of the inputs.
        targets: the scaling of regression targets, or None for classification. An error of e in y is an error of
            e * targets.scale in the user's units.
        image_shape: the (channels, height, width) of a row of x, or None if rows are not images.
        classes: the names of the classes in the order of their numbers; () for regression.
        pixel_max: the largest possible raw value of a pixel (the smallest is 0), or None if features are not pixels.
        target_names: the names of the columns to predict; () if the data set is not a user's table.
        preprocessor: what turned the columns of a user's table into raw inputs; None if it is not a table.
        notes: what was done to the user's file, a line each.
        w_train, w_val, w_test: the weights of the rows, ``(rows,)`` float32, divided by the mean weight of the training
            rows; None if rows have no weights.
        folds: the data of each fold of a cross-validation, of which this is the first; () for a single split. All have
            the same test rows, features and outputs, but each is scaled by its own training rows.
        scales: the data in each scale that trials may choose, of which this is the first; empty if all have this one.
            Each fold has its own.
        raw: the SHA-256 of the inputs before scaling, by which rows are recognised that are scaled in another way; ""
            for pixels.
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
    target_names: tuple[str, ...] = ()
    preprocessor: Preprocessor | None = None
    notes: tuple[str, ...] = ()
    w_train: Tensor | None = None
    w_val: Tensor | None = None
    w_test: Tensor | None = None
    folds: tuple[Data, ...] = ()
    scales: Mapping[str, Data] = field(default_factory=dict)
    raw: str = ""

    def of(self, replicate: int) -> Data:
        """Return the data on which a replicate trains: replicates take the folds in turn."""
        return self.folds[replicate % len(self.folds)] if self.folds else self

    def scaled(self, scale: object) -> Data:
        """Return the data in the scale that a trial chose; these data if all trials have one scale."""
        return self.scales.get(str(scale), self)

    @property
    def encoding(self) -> PiecewiseLinear | None:
        """The encoding of the inputs, if they are encoded."""
        return self.inputs.encoding

    def encoded(self, encoding: PiecewiseLinear) -> Data:
        """Return the data of this fold and scale with encoded inputs."""
        x_train, x_val, x_test = map(encoding.apply, (self.x_train, self.x_val, self.x_test))
        inputs = replace(self.inputs, encoding=encoding)
        return replace(self, x_train=x_train, x_val=x_val, x_test=x_test, inputs=inputs, folds=(), scales={})

    @property
    def columns(self) -> tuple[Feature, ...]:
        """The meaning of each feature before scaling; () if the data set is not a user's table."""
        return () if self.preprocessor is None else self.preprocessor.features

    @property
    def features(self) -> int:
        """The number of columns of x."""
        return self.x_train.shape[1]

    @property
    def metric(self) -> str:
        """The name of the metric that is shown with the validation loss."""
        return "val_accuracy" if self.task == "classification" else "val_rmse"

    def _repr_html_(self) -> str:
        return html.block(html.facts(self.name, {"data": self.described(), "notes": "; ".join(self.notes)}))

    def described(self) -> str:
        """Name the data and their task, and count inputs, outputs and rows."""
        rows = " + ".join(f"{len(part):,}" for part in (self.x_train, self.x_val, self.x_test))
        outputs = f"{self.outputs:,} classes" if self.task == "classification" else counted(self.outputs, "target")
        inputs = counted(self.features, "input")
        return f"{self.name}: {self.task}, {inputs}, {outputs}; {rows} rows to train, validate and test"

    def fingerprint(self) -> str:
        """Return 16 hex digits of the SHA-256 of the task and all tensors (name, type, shape, bytes), on any device."""
        digest = hashlib.sha256(self.task.encode())
        add_tensors(digest, self._tensors())
        for other in (*self.folds[1:], *[*self.scales.values()][1:]):
            digest.update(other.fingerprint().encode())
        return digest.hexdigest()[:16]

    def _tensors(self) -> Iterator[tuple[str, Tensor]]:
        for one in fields(self):
            value = getattr(self, one.name)
            if isinstance(value, Tensor):
                yield one.name, value
            elif isinstance(value, Scaling):
                yield from ((f"{one.name}.{name}", tensor) for name, tensor in value.tensors.items())


def add_tensors(digest: hashlib._Hash, tensors: Iterable[tuple[str, Tensor]]) -> None:
    """Add tensors with their names, types and shapes to a digest."""
    for name, tensor in tensors:
        digest.update(f"|{name}:{tensor.dtype}:{tuple(tensor.shape)}|".encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().data)
