"""A data set on the device, padded once, and the minibatches that are gathered from it."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from search.data import Data, PiecewiseLinear
from search.technique.layout import padded
from search.train.inputs import DataInputs


class Targets(NamedTuple):
    """What some rows should be predicted as.

    Attributes:
        values: the targets, ``... x padded outputs``: one-hot classes or standardised values.
        weights: the factor on the loss of each row, ``...``; None if all are 1.
    """

    values: Tensor
    weights: Tensor | None = None

    def part(self, rows: slice) -> Targets:
        """Return some of the rows."""
        return Targets(self.values[rows], None if self.weights is None else self.weights[rows])


class Batches:
    """The training, validation and test rows: features ``rows x padded features``, targets ``rows x padded outputs``.

    The tensors are moved to the device once. Class targets become one-hot rows, so that every loss sees the same kind
    of target.

    Attributes:
        metric: the name of the metric reported with the loss: "val_accuracy" or "val_rmse".
        inputs: the relation between features and pixels.
        classes: the names of the classes, () in regression.
        class_sizes: the number of training rows of each class, or the sum of their weights; () in regression.
        folds: the data of each fold of a cross-validation, this one first; only this one for a single split.
        scales: the data in each scale that trials may choose; empty if all have this one.
        encoding: the encoding of the inputs, if they are encoded.
        target_scale: the factors from standardised targets to the user's units, ``(padded outputs,)``; None in
            classification.
        target_shift: what is then added, ``(padded outputs,)``; None in classification.
    """

    def __init__(self, data: Data, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32) -> None:
        self.device = torch.device(device)
        self.dtype = dtype
        self.task = data.task
        self.inputs = DataInputs(data, self.device, dtype)
        self.features = data.features
        self.encoding = data.encoding
        self.outputs = data.outputs
        self.classes = data.classes
        self.class_sizes = _class_sizes(data)
        self.metric = data.metric
        self.target_scale = None if data.targets is None else self.pad(data.targets.scale[None])[0]
        self.target_shift = None if data.targets is None else self.pad(data.targets.shift[None])[0]
        self.x_train, self.y_train = self.pad(data.x_train), self._targets(data.y_train)
        self.x_val, self.y_val = self.pad(data.x_val), self._targets(data.y_val)
        self.x_test, self.y_test = self.pad(data.x_test), self._targets(data.y_test)
        self.w_train, self.w_val, self.w_test = (
            None if weights is None else weights.to(self.device, dtype)
            for weights in (data.w_train, data.w_val, data.w_test)
        )
        self.train_rows = len(self.x_train)
        self.folds: tuple[Batches, ...] = (self, *(Batches(fold, device, dtype) for fold in data.folds[1:]))
        self.scales: dict[str, Batches] = {
            name: Batches(one, device, dtype) if number else self
            for number, (name, one) in enumerate(data.scales.items())
        }

    def fold(self, replicate: int) -> int:
        """Return the number of the fold on which a replicate trains."""
        return replicate % len(self.folds)

    def of(self, replicate: int) -> Batches:
        """Return the data on which a replicate trains."""
        return self.folds[self.fold(replicate)]

    def scaled(self, scale: object) -> Batches:
        """Return the data in the scale that a trial chose; these data if all trials have one scale."""
        return self.scales.get(str(scale), self)

    def encoded(self, encoding: PiecewiseLinear) -> Batches:
        """Return the data of this fold and scale with encoded inputs."""
        other = copy(self)
        other.encoding, other.features = encoding, encoding.width
        for name in ("x_train", "x_val", "x_test"):
            # An encoding is in float32, so that a training in any precision has the inputs of a model file.
            setattr(other, name, self.pad(encoding.apply(getattr(self, name)[:, : self.features].float())))
        other.folds, other.scales = (other,), {}
        return other

    def pad(self, rows: Tensor) -> Tensor:
        """Return rows as the network takes them: on the device, their width padded with zeros."""
        moved = rows.to(self.device, self.dtype)
        extra = padded(rows.shape[1]) - rows.shape[1]
        return F.pad(moved, (0, extra)) if extra else moved.contiguous()

    def shared(self, data: Data) -> Data:
        """Return the data with features that are views of these tensors, so that on the CPU they are in memory once."""
        if self.device.type != "cpu" or self.dtype != data.x_train.dtype:
            return data
        x_train, x_val, x_test = (x[:, : self.features] for x in (self.x_train, self.x_val, self.x_test))
        first = replace(data, x_train=x_train, x_val=x_val, x_test=x_test, folds=(), scales={})
        scales = {name: first if one is self else one.shared(data.scales[name]) for name, one in self.scales.items()}
        first = replace(first, scales=scales)
        others = [other.shared(fold) for other, fold in zip(self.folds[1:], data.folds[1:], strict=True)]
        return replace(first, folds=(first, *others)) if others else first

    def _targets(self, targets: Tensor) -> Tensor:
        return self.pad(F.one_hot(targets, self.outputs) if self.task == "classification" else targets)

    def head(self, rows: int) -> Batches:
        """Return the first rows of each part, as views of these tensors."""
        first = copy(self)
        for name in ("x_train", "y_train", "w_train", "x_val", "y_val", "w_val", "x_test", "y_test", "w_test"):
            if (part := getattr(self, name)) is not None:
                setattr(first, name, part[:rows])
        first.train_rows, first.folds, first.scales = len(first.x_train), (first,), {}
        return first

    @property
    def validation(self) -> Targets:
        """The targets of the validation rows."""
        return Targets(self.y_val, self.w_val)

    @property
    def test(self) -> Targets:
        """The targets of the test rows."""
        return Targets(self.y_test, self.w_test)

    def gather(self, chosen: Sequence[Tensor]) -> tuple[Tensor, Targets]:
        """Return each group's minibatch: inputs ``groups x batch x features``, and targets of ``groups x batch`` rows.

        Args:
            chosen: the row indices of each group, ``(batch,)``.
        """
        index = torch.cat(list(chosen)) if len(chosen) > 1 else chosen[0]
        shape = (len(chosen), len(chosen[0]), -1)
        weights = None if self.w_train is None else self.w_train.index_select(0, index).view(shape[:2])
        targets = Targets(self.y_train.index_select(0, index).view(shape), weights)
        return self.x_train.index_select(0, index).view(shape), targets


def _class_sizes(data: Data) -> tuple[float, ...]:
    if data.task != "classification":
        return ()
    weights = None if data.w_train is None else data.w_train.cpu().double()
    return tuple(map(float, torch.bincount(data.y_train.cpu(), weights, minlength=data.outputs).tolist()))
