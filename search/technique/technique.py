"""What a technique is: hyperparameters, and pure functions that hook into training.

A technique is a value, not a subclass of the loop: a `Technique` holds its name, its hyperparameters and the hooks it
needs, each a pure function of tensors with leading dimension slots. Adding one is a file in `objectives/` that
defines `technique`; nothing else in the package names it.

    technique = Technique(
        name="l2",
        hyperparameters={"l2": Numeric(low=1e-6, high=1e-1, log=True, minimum=0.0, neutral=0.0, stronger="up")},
        penalty=lambda weights, values: values["l2"] * weights.square().sum(1),
    )

The hooks in the order in which a step calls them:

    input -> layer (each) -> targets -> loss, penalty -> [backward] -> gradient -> rate -> [optimiser] -> project

On the CPU a slot's result must not depend on its place or its neighbours, to the bit. Sums, products, quotients, square
roots, comparisons, and softmax over the last dimension keep to that; element-wise `exp`, `log`, `sigmoid` and `pow` do
not: torch rounds them differently where a vector register is not full.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor

from search.errors import RequestError
from search.technique.hyperparameter import Hyperparameter, Numeric, Structural, Value
from search.technique.layout import Field, Layout

if TYPE_CHECKING:
    from search.data import Data


class Inputs(Protocol):
    """How the network's inputs relate to the data as people know them.

    Attributes:
        image_shape: (channels, height, width) of a row, None where rows are not images.
        pixels: whether unit values are pixels in [0, 1].
    """

    image_shape: tuple[int, int, int] | None
    pixels: bool

    def unit(self, x: Tensor) -> Tensor:
        """Inputs ``... x features`` as pixels in [0, 1]; where they are not pixels, as they are."""
        ...

    def scaled(self, unit: Tensor) -> Tensor:
        """The inverse: what the network takes."""
        ...


class Values(Mapping[str, Tensor]):
    """What a hook may read: the numeric hyperparameters that the study uses, by name, each ``(slots,)``; and more.

    Attributes:
        structure: every structural hyperparameter's value.
        state: the technique's own tensors, leading dimension slots; hooks change them in place.
        layout: where each parameter lies in ``slots x size``.
        inputs: how the network's inputs relate to pixels.
        classes: the names of the classes, in the order of the outputs; () in regression.
        slots, device, dtype: of the tensors of the pack.
        train: whether this is training, not evaluation; true in Monte Carlo passes for who takes part in them.
        epoch, step, steps: 0-based epoch, 0-based step in it, and the steps of one epoch.
        lr: the learning rate of this step with every `rate` applied, ``slots x 1`` or ``slots x size``.
    """

    structure: Mapping[str, Value]
    state: dict[str, Tensor]
    layout: Layout
    inputs: Inputs
    classes: Sequence[str]
    slots: int
    device: torch.device
    dtype: torch.dtype
    epoch: int
    step: int
    steps: int
    lr: Tensor

    @property
    @abstractmethod
    def train(self) -> bool: ...

    @abstractmethod
    def uniform(self, name: str, *shape: int) -> Tensor:
        """Draws from [0, 1), the same for all slots of a replicate, new in each forward pass.

        They broadcast over the slots: ``slots x shape``, or ``1 x shape`` where the pack has one replicate.
        """

    @abstractmethod
    def normal(self, name: str, *shape: int) -> Tensor:
        """Standard normal draws, likewise."""

    @abstractmethod
    def quantile(self, unit: Tensor) -> Tensor:
        """The standard normal quantiles of draws from [0, 1), of any shape: for the unit draws of `init`."""

    @abstractmethod
    def per_slot(self, grouped: Tensor) -> Tensor:
        """``groups x ...`` to ``slots x ...``, without a copy where there is one group; slots stay as they are."""

    @abstractmethod
    def parameter(self, name: str, layer: int) -> Tensor:
        """One of the technique's own parameters (`Technique.parameters`), ``slots x padded width``, differentiable."""


@dataclass(frozen=True)
class Batch:
    """One minibatch after its forward pass, for the `loss` hook.

    Attributes:
        x: the network's inputs, ``groups x batch x features`` or ``slots x batch x features``, padded.
        targets: as the loss takes them, ``groups or slots x batch x outputs``, padded.
        predictions: ``slots x batch x outputs``, padded; the gradient flows through them.
        outputs: how many of the outputs are real; the padding is zero in regression, of no meaning for classes.
        task: "classification" (predictions are logits) or "regression".
        forward: another pass through the network as it trains, with its own random draws.
    """

    x: Tensor
    targets: Tensor
    predictions: Tensor
    outputs: int
    task: str
    forward: Callable[[Tensor], Tensor]


class StudyContext(Protocol):
    """What a technique may check before training.

    Attributes:
        data: the data set as the study trains on it.
        techniques: the names of all techniques of the study, in order.
        train_rows: how many training rows an epoch may have; a part of them where a technique's `rows` takes one.
    """

    @property
    def data(self) -> Data: ...

    @property
    def techniques(self) -> Sequence[str]: ...

    @property
    def train_rows(self) -> Sequence[int]: ...

    def possible(self, name: str) -> list[Value]:
        """The values a hyperparameter may take: its one value, its choices, or the ends of its range."""
        ...


@dataclass(frozen=True)
class Technique:
    """One regulariser or training method: its hyperparameters and its hooks.

    In the hooks, `values` maps each numeric hyperparameter that the study uses to a ``(slots,)`` tensor and holds what
    else a hook may read (`Values`); `weights` is ``slots x size`` (every trainable number of a slot, biases too; zeros
    where widths are padded). A technique whose numeric hyperparameters a study fixes at their neutral values is left
    out, unless it has a structural hyperparameter that is not at its neutral value.

    Args:
        hyperparameters: its own, by name.
        set: values it gives to hyperparameters of the model or the optimiser, unless the study does.
        space: ranges over which it searches such hyperparameters, unless the study says otherwise; as in a recipe,
            ``{"low": 0.0, "high": 0.99}`` or ``{"choices": [32, 64]}``.
        derive: values of the model's hyperparameters that follow from its own, ``{"hidden": function of values}``.
        role: what only one technique of a study can be, such as "schedule"; two of a role are refused.
        check: raises ValueError, naming value and rule, if it cannot work in this study.
        prepare: the data as the technique needs them, before anything is trained; called once, after `check`.
        rows: which training rows an epoch uses, of a random order ``(rows,)`` that each replicate keeps, by the
            values of its own structural hyperparameters.
        init: a field's weights before training, ``slots x shape``, of its weights so far, its unit draws from [0, 1)
            (one for all trials of a replicate) and the field.
        parameters: trainable vectors of its own after a hidden layer: name to initial value, of (layer, width).
        start: the technique's own state before the first step.
        input: inputs ``groups or slots x batch x features`` in units that people know (`Inputs.unit`) to the like.
        layer: of a hidden layer's activations ``slots x batch x padded width`` and its number from 1; or of the
            network's (scaled) inputs, ``groups or slots x batch x padded features``, and 0. Keep the padding zero.
        monte_carlo: whether its `layer` draws at random also in Monte Carlo passes through the trained network, whose
            spread says how uncertain a prediction is; who does not take part sees an evaluation.
        targets: ``groups or slots x batch x outputs`` to the like, in training only.
        loss: added to each slot's training loss, ``(slots,)``, from a `Batch`; not in `val_loss` (contract C8).
        penalty: added to the loss of each slot, ``(slots,)``, differentiable in the weights; not in `val_loss`.
        gradient: changes the gradient ``slots x size`` in place, after the backward pass.
        rate: factor on the learning rate, ``(slots,)`` or ``slots x size``, of the 0-based step since the start and
            the steps of one epoch.
        project: changes the weights ``slots x size`` in place, after the optimiser's step.
        metrics: what it adds to each epoch's record: name to ``(slots,)``.
        after_epoch: sees the epoch's metrics, each ``(slots,)`` in float64, may change its state in place, and may
            return which slots stop here, ``(slots,)`` bool.
    """

    name: str
    hyperparameters: Mapping[str, Hyperparameter] = field(default_factory=dict)
    set: Mapping[str, Value] = field(default_factory=dict)
    space: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    derive: Mapping[str, Callable[[Mapping[str, Value]], Value]] = field(default_factory=dict)
    role: str | None = None
    check: Callable[[StudyContext], None] | None = None
    prepare: Callable[[Data, StudyContext], Data] | None = None
    rows: Callable[[Tensor, Mapping[str, Value]], Tensor] | None = None
    init: Callable[[Tensor, Tensor, Field, Values], Tensor] | None = None
    parameters: Callable[[int, int], Mapping[str, float]] | None = None
    start: Callable[[Values], dict[str, Tensor]] | None = None
    input: Callable[[Tensor, Values], Tensor] | None = None
    layer: Callable[[Tensor, int, Values], Tensor] | None = None
    monte_carlo: bool = False
    targets: Callable[[Tensor, Values], Tensor] | None = None
    loss: Callable[[Batch, Values], Tensor] | None = None
    penalty: Callable[[Tensor, Values], Tensor] | None = None
    gradient: Callable[[Tensor, Tensor, Values], None] | None = None
    rate: Callable[[int, int, Values], Tensor] | None = None
    project: Callable[[Tensor, Values], None] | None = None
    metrics: Callable[[Tensor, Values], Mapping[str, Tensor]] | None = None
    after_epoch: Callable[[Mapping[str, Tensor], Values], Tensor | None] | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name:
            raise RequestError(f"a technique's name is a text, got {self.name!r}")
        for name, declared in dict(self.hyperparameters).items():
            if not isinstance(name, str) or not isinstance(declared, Numeric | Structural):
                raise RequestError(f"technique {self.name!r}: {name!r} is neither Numeric nor Structural")

    def is_active(self, numeric: Collection[str], structure: Mapping[str, Value]) -> bool:
        """Whether the technique does anything to trials with these hyperparameters.

        It does if a numeric hyperparameter of its own is in use, or a structural one is not at its neutral value. A
        technique that has neither, so that nothing could switch it off, is always active.

        Args:
            numeric: the names of the numeric hyperparameters in use.
            structure: the structural hyperparameters and their values.
        """
        declared = self.hyperparameters
        if any(isinstance(one, Numeric) and name in numeric for name, one in declared.items()):
            return True
        switches = {
            name: one for name, one in declared.items() if isinstance(one, Structural) and one.neutral is not None
        }
        if any(structure.get(name, one.neutral) != one.neutral for name, one in switches.items()):
            return True
        return not switches and not any(isinstance(one, Numeric) for one in declared.values())
