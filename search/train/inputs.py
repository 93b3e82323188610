"""The network's inputs and the pixels they stand for."""

from __future__ import annotations

import torch
from torch import Tensor

from search.data import Data
from search.technique.layout import padded


class DataInputs:
    """The map between inputs and pixels: ``unit = x * scale / pixel_max + shift / pixel_max``.

    Where rows are not pixels, it is the identity.

    Attributes:
        image_shape: the (channels, height, width) of a row, None if rows are not images.
        pixels: whether unit values are pixels in [0, 1].
    """

    def __init__(self, data: Data, device: torch.device, dtype: torch.dtype) -> None:
        self.image_shape = data.image_shape
        self.pixels = data.pixel_max is not None
        self._factor = self._offset = torch.zeros(0)
        self._identity = not self.pixels
        if data.pixel_max is not None:
            pad = padded(data.features) - data.features
            most = float(data.pixel_max)
            factor, offset = data.inputs.scale.double() / most, data.inputs.shift.double() / most
            # Pixels that the network takes as pixels keep exactly the same numbers.
            self._identity = bool((factor == 1).all()) and bool((offset == 0).all())
            self._factor = torch.nn.functional.pad(factor, (0, pad), value=1.0).to(device, dtype)
            self._offset = torch.nn.functional.pad(offset, (0, pad)).to(device, dtype)

    def unit(self, x: Tensor) -> Tensor:
        """Return inputs ``... x padded features`` as pixels in [0, 1], or unchanged if they are not pixels."""
        return x if self._identity else x * self._factor + self._offset

    def scaled(self, unit: Tensor) -> Tensor:
        """Return the inputs that the network takes: the inverse of `unit`."""
        return unit if self._identity else (unit - self._offset) / self._factor
