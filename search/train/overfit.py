"""The overfit check: train on a single batch, at several learning rates as one pack, and see how low its loss gets.

A network that is built correctly learns a single batch by heart, even if the targets are noise. The loss is that of the
training batch, in evaluation mode (no dropout) and without penalties.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from search.data import Data
from search.technique import Technique, Values
from search.train.batches import Batches, Targets
from search.train.constant import least_loss
from search.train.losses import LossFunction
from search.train.pack import Pack, Slot
from search.train.program import Program


class OneBatch(Batches):
    """A data set of one batch: every minibatch consists of all its rows.

    Args:
        data: the data set whose task and scaling apply.
        x: the inputs of the batch, ``rows x features``.
        y: the targets of the batch, as in `Data`.
        device: the device of the tensors.
        steps: the number of steps in an epoch.
    """

    def __init__(self, data: Data, x: Tensor, y: Tensor, device: torch.device, steps: int) -> None:
        one_batch = replace(data, x_train=x, y_train=y, x_val=x, y_val=y, x_test=x, y_test=y)
        super().__init__(replace(one_batch, w_train=None, w_val=None, w_test=None, folds=(), scales={}), device)
        self.rows = len(x)
        self.train_rows = len(x) * steps

    def gather(self, chosen: Sequence[Tensor]) -> tuple[Tensor, Targets]:
        """Return the batch for each group and each of the steps, whichever rows are chosen."""
        steps = len(chosen[0]) // self.rows
        x, y = (part.repeat(steps, 1).expand(len(chosen), -1, -1) for part in (self.x_train, self.y_train))
        return x, Targets(y)

    def least_loss(self, loss: LossFunction, groups: Tensor) -> float:
        """Return the least mean loss of predictions that are equal within each group; groups ``(rows,)`` from 0."""
        return least_loss(loss, self.y_train, self.outputs, self.task, groups)

    def constant_loss(self, loss: LossFunction) -> float:
        """Return the loss of the best constant predictor."""
        return self.least_loss(loss, torch.zeros(self.rows, dtype=torch.int64))

    def conflicts(self, loss: LossFunction) -> tuple[int, float]:
        """Return the number of rows that contradict another (same inputs, other targets), and the least loss."""
        _, groups = torch.unique(self.x_train, dim=0, return_inverse=True)
        first = torch.full((int(groups.max()) + 1,), self.rows, device=self.device)
        first = first.scatter_reduce(0, groups, torch.arange(self.rows, device=self.device), "amin")
        differs = (self.y_train != self.y_train[first[groups]]).any(1)
        rows = int(torch.isin(groups, groups[differs]).sum())
        return rows, self.least_loss(loss, groups) if rows else 0.0

    def blurred_loss(self, loss: LossFunction, detail: float) -> float:
        """Return the least mean loss of predictions that are equal for rows with the same rounded inputs.

        Args:
            loss: the loss function.
            detail: the unit to which inputs are rounded, in standard deviations of each input.
        """
        x = self.x_train[:, : self.features]
        x = x / x.std(0).clamp(min=torch.finfo(x.dtype).tiny)
        _, groups = torch.unique((x / detail).round(), dim=0, return_inverse=True)
        return self.least_loss(loss, groups)


@dataclass(frozen=True)
class Attempt:
    """The result of training on one batch.

    Attributes:
        rates: the learning rate of each slot.
        losses: the loss at each evaluation, ``evaluations x slots``; the first is from before training.
        steps: the number of steps between two evaluations.
        enough: the loss below which training succeeds.
        alive: the share of units that differ between rows, in the hidden layer with the smallest share, ``(slots,)``.
    """

    rates: Sequence[float]
    losses: Tensor
    steps: int
    enough: float
    alive: Tensor

    @property
    def loss(self) -> float:
        """The first loss below `enough`, or the lowest if there is none; infinite if none was finite."""
        at, slot = self._place
        return float(self._finite[at, slot])

    @property
    def slot(self) -> int:
        """The slot with this loss."""
        return self._place[1]

    @property
    def when(self) -> int:
        """The number of steps trained until this loss."""
        return self.steps * (1 + self._place[0])

    @property
    def trained(self) -> int:
        """The number of steps trained in all."""
        return self.steps * (len(self.losses) - 1)

    @property
    def pace(self) -> float:
        """The factor by which the slot's loss changes in 100 steps, measured over the second half of training."""
        curve = self.losses[:, self.slot]
        half = len(curve) // 2
        return float((curve[-1] / curve[half - 1]) ** (100 / (self.steps * (len(curve) - half))))

    def reached(self, slot: int) -> int | None:
        """Return the number of steps after which a slot's loss was below `enough`, None if it never was."""
        places = (self._finite[:, slot] < self.enough).nonzero()
        return self.steps * (1 + int(places[0])) if len(places) else None

    @property
    def _finite(self) -> Tensor:
        return self.losses[1:].nan_to_num(nan=torch.inf)

    @property
    def _place(self) -> tuple[int, int]:
        """The evaluation (from 0) and the slot of this loss."""
        losses = self._finite
        enough = (losses < self.enough).any(1).nonzero()
        at = int(enough[0]) if len(enough) else int(losses.amin(1).argmin())
        return at, int(losses[at].argmin())


def overfit(
    program: Program,
    batch: OneBatch,
    values: Mapping[str, float],
    rates: Sequence[float],
    enough: float,
    awaited: int | None = None,
) -> Iterator[Attempt | None]:
    """Train on a batch until a slot's loss is below `enough`, no slot's loss is finite, or the epochs are over.

    None is yielded after each epoch, so that the caller can stop the training, and the result at the end.

    Args:
        program: the program of the slots.
        batch: the batch.
        values: the numeric hyperparameters of every slot, except the learning rate.
        rates: the learning rate of each slot.
        enough: the loss below which training succeeds.
        awaited: the slot that must succeed before training ends; None for any slot.
    """
    # It comes first of all techniques, so that it sees the output of the activation.
    watched = replace(program, techniques=(_ALIVE, *program.techniques))
    pack = Pack(watched, batch, [Slot(i, 0, {**values, "lr": rate}) for i, rate in enumerate(rates)])
    losses = [pack.score(batch.x_val, batch.validation)[0][: len(rates)].cpu()]
    learnt = False
    while pack.epoch < program.epochs:
        measured = pack.run_epoch()
        losses.append(measured["val_loss"])
        yield None
        learnt = learnt or bool((losses[-1] < enough).any())
        waiting = awaited is not None and enough <= losses[-1][awaited] < torch.inf
        if (learnt and not waiting) or not losses[-1].isfinite().any():
            break
    steps = batch.train_rows // batch.rows
    yield Attempt(tuple(rates), torch.stack(losses), steps, enough, measured["alive"])


def _count(h: Tensor, number: int, values: Values) -> Tensor:
    if number and not values.train:
        width = values.layout.widths[number]
        varying = h.amax(1) != h.amin(1)
        # No unit of the padding varies.
        values.state["alive"].copy_(torch.minimum(values.state["alive"], varying.sum(1) / width))
    return h


def _report(_weights: Tensor, values: Values) -> Mapping[str, Tensor]:
    alive = values.state["alive"].clone()
    values.state["alive"].fill_(1.0)
    return {"alive": alive}


# A unit with the same value for every row carries no information: a ReLU that is never positive, a saturated tanh.
_ALIVE = Technique(
    name="units alive",
    start=lambda values: {"alive": torch.ones(values.slots, dtype=torch.float64, device=values.device)},
    layer=_count,
    metrics=_report,
)
