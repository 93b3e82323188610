"""What a hook of a technique may read: hyperparameters, state, random draws, and the data's units."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Protocol

import torch
from torch import Tensor

from search.technique.hyperparameter import Value
from search.technique.layout import Layout


class Inputs(Protocol):
    """The relation between the network's inputs and the data in a person's units.

    Attributes:
        image_shape: the (channels, height, width) of a row, or None if rows are not images.
        pixels: whether the inputs come from pixels; their unit values then lie in [0, 1].
    """

    image_shape: tuple[int, int, int] | None
    pixels: bool

    def unit(self, x: Tensor) -> Tensor:
        """Return inputs ``... x features`` as pixels in [0, 1]. Inputs that are not pixels stay as they are."""
        ...

    def scaled(self, unit: Tensor) -> Tensor:
        """Return unit values as the network takes them: the inverse of `unit`."""
        ...


class Values(Mapping[str, Tensor]):
    """The values that a hook may read: a mapping of the numeric hyperparameters in use, each ``(slots,)``, and more.

    Attributes:
        structure: the structural hyperparameters and their values.
        state: the technique's own tensors, with leading dimension slots; hooks change them in place.
        layout: the place of each parameter in ``slots x size``.
        inputs: the relation between the network's inputs and pixels.
        classes: the names of the classes in the order of the outputs; () in regression.
        class_sizes: the number of training rows of each class, or the sum of their weights; () in regression.
        group_of: the group of each slot, ``(slots,)``: the slots of a replicate are a group, and share its draws.
        slots, device, dtype: the number of slots, and the device and type of the pack's tensors.
        train: True in training, False in evaluation. In Monte Carlo passes it is True for techniques that take part.
        epoch, step, steps: the 0-based epoch, the 0-based step within it, and the number of steps of one epoch. A GPU
            replays steps as they were recorded, unless a hook has read the epoch or the step.
        lr: the learning rate of this step after every `rate` hook, ``slots x 1`` or ``slots x size``.
    """

    structure: Mapping[str, Value]
    state: dict[str, Tensor]
    layout: Layout
    inputs: Inputs
    classes: Sequence[str]
    class_sizes: Sequence[float]
    group_of: Tensor
    slots: int
    device: torch.device
    dtype: torch.dtype
    steps: int
    lr: Tensor

    @property
    @abstractmethod
    def train(self) -> bool: ...

    @property
    @abstractmethod
    def epoch(self) -> int: ...

    @property
    @abstractmethod
    def step(self) -> int: ...

    @abstractmethod
    def uniform(self, name: str, *shape: int) -> Tensor:
        """Return draws from [0, 1) that all slots of a replicate share, new in each forward pass.

        The draws broadcast over the slots: ``slots x shape``, or ``1 x shape`` if the pack has one replicate.
        """

    @abstractmethod
    def normal(self, name: str, *shape: int) -> Tensor:
        """Return draws from the standard normal distribution, shared and shaped as those of `uniform`."""

    @abstractmethod
    def draws(self, name: str, *shape: int) -> Tensor:
        """Return the draws of `uniform` once for each replicate, ``groups x shape``; `group_of` has each slot's."""

    @abstractmethod
    def quantile(self, unit: Tensor) -> Tensor:
        """Return the standard normal quantiles of draws from [0, 1), of any shape, such as the unit draws of `init`."""

    @abstractmethod
    def per_slot(self, grouped: Tensor) -> Tensor:
        """Expand ``groups x ...`` to ``slots x ...``, without a copy if there is one group; slots stay as they are."""

    @abstractmethod
    def objective(self, metrics: Mapping[str, Tensor]) -> Tensor:
        """Return the study's first objective after an epoch, with the sign that makes less of it better, ``(slots,)``.

        By default that is `val_loss`. It is not finite where the validation loss is not.

        Args:
            metrics: the metrics of the epoch, as `after_epoch` gets them.
        """

    @abstractmethod
    def parameter(self, name: str, layer: int) -> Tensor:
        """Return one of the technique's own parameters (`Technique.parameters`), ``slots x padded width``."""

    @abstractmethod
    def parameter_gradient(self, name: str, layer: int) -> Tensor:
        """Return where the gradient of a parameter belongs, ``slots x padded width``; `Loops.backward` writes it."""
