"""A data set on the device, padded once, and the minibatches gathered from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional as F

from search.data import Data
from search.technique.layout import padded
from search.train.inputs import DataInputs


class Batches:
    """Features ``rows x padded features``, targets ``rows x padded outputs``, for training, validation and test.

    Class targets become one-hot rows, so that every loss sees the same kind of target. Moved to the device once.

    Attributes:
        metric: the name of what a person reads beside the loss: "val_accuracy" or "val_rmse".
        inputs: how features relate to pixels.
        classes: their names, () in regression.
        target_scale: from standardised to the user's units, ``(padded outputs,)``; None for classes.
    """

    def __init__(self, data: Data, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32) -> None:
        self.device = torch.device(device)
        self.dtype = dtype
        self.task = data.task
        self.inputs = DataInputs(data, self.device, dtype)
        self.features = data.features
        self.outputs = data.outputs
        self.classes = data.classes
        self.metric = data.metric
        self.target_scale = None if data.targets is None else self.pad(data.targets.scale[None])[0]
        self.x_train, self.y_train = self.pad(data.x_train), self._targets(data.y_train)
        self.x_val, self.y_val = self.pad(data.x_val), self._targets(data.y_val)
        self.x_test, self.y_test = self.pad(data.x_test), self._targets(data.y_test)
        self.train_rows = len(self.x_train)

    def pad(self, rows: Tensor) -> Tensor:
        """Rows as the network takes them: on the device, their width padded with zeros."""
        moved = rows.to(self.device, self.dtype)
        extra = padded(rows.shape[1]) - rows.shape[1]
        return F.pad(moved, (0, extra)) if extra else moved.contiguous()

    def shared(self, data: Data) -> Data:
        """The data with features that are views of what is here: in memory once, where both are on the CPU."""
        if self.device.type != "cpu" or self.dtype != data.x_train.dtype:
            return data
        x_train, x_val, x_test = (x[:, : self.features] for x in (self.x_train, self.x_val, self.x_test))
        return replace(data, x_train=x_train, x_val=x_val, x_test=x_test)

    def _targets(self, targets: Tensor) -> Tensor:
        return self.pad(F.one_hot(targets, self.outputs) if self.task == "classification" else targets)

    def gather(self, chosen: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """The minibatch of each group: ``groups x batch x features`` and ``groups x batch x outputs``."""
        index = torch.cat(list(chosen)) if len(chosen) > 1 else chosen[0]
        shape = (len(chosen), len(chosen[0]), -1)
        return self.x_train.index_select(0, index).view(shape), self.y_train.index_select(0, index).view(shape)
