"""One batch trained on alone, at several learning rates as one pack: how near to zero does its loss come?

A network that is wired up as it should be learns a single batch by heart, be it noise. The loss is that of the batch it
trains on, in evaluation mode (no dropout) and without penalties.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from search.data import Data
from search.technique import Technique, Values
from search.train.batches import Batches
from search.train.constant import least_loss
from search.train.losses import LossFunction
from search.train.pack import Pack, Slot
from search.train.program import Program


class OneBatch(Batches):
    """A data set that is one batch: every minibatch is all its rows, an epoch as many steps as asked for.

    Args:
        data: whose task and scaling it has.
        x: ``rows x features``; y: its targets, as in `Data`; `steps` of an epoch.
    """

    def __init__(self, data: Data, x: Tensor, y: Tensor, device: torch.device, steps: int) -> None:
        super().__init__(replace(data, x_train=x, y_train=y, x_val=x, y_val=y, x_test=x, y_test=y), device)
        self.rows = len(x)
        self.train_rows = len(x) * steps

    def gather(self, chosen: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """The batch, once for each group, whichever rows are chosen."""
        return self.x_train.expand(len(chosen), -1, -1), self.y_train.expand(len(chosen), -1, -1)

    def least_loss(self, loss: LossFunction, groups: Tensor) -> float:
        """The least mean loss of predictions that are equal within each group of rows; groups ``(rows,)`` from 0."""
        return least_loss(loss, self.y_train, self.outputs, self.task, groups)

    def constant_loss(self, loss: LossFunction) -> float:
        """The loss of the best constant predictor."""
        return self.least_loss(loss, torch.zeros(self.rows, dtype=torch.int64))

    def conflicts(self, loss: LossFunction) -> tuple[int, float]:
        """How many rows have the inputs of another row and other targets; the least loss that they leave possible."""
        _, groups = torch.unique(self.x_train, dim=0, return_inverse=True)
        first = torch.full((int(groups.max()) + 1,), self.rows, device=self.device)
        first = first.scatter_reduce(0, groups, torch.arange(self.rows, device=self.device), "amin")
        differs = (self.y_train != self.y_train[first[groups]]).any(1)
        rows = int(torch.isin(groups, groups[differs]).sum())
        return rows, self.least_loss(loss, groups) if rows else 0.0

    def blurred_loss(self, loss: LossFunction, detail: float) -> float:
        """The least mean loss of predictions that are equal for rows of the same inputs, rounded.

        Args:
            detail: to what they are rounded, in SDs of each input.
        """
        x = self.x_train[:, : self.features]
        x = x / x.std(0).clamp(min=torch.finfo(x.dtype).tiny)
        _, groups = torch.unique((x / detail).round(), dim=0, return_inverse=True)
        return self.least_loss(loss, groups)


@dataclass(frozen=True)
class Attempt:
    """What training on one batch came to.

    Attributes:
        rates: the learning rate of each slot.
        losses: ``evaluations x slots``; the first before training.
        steps: between two evaluations.
        enough: the loss that was wanted.
        alive: ``(slots,)``: of the hidden layer that has least, the share of units that tell rows apart.
    """

    rates: Sequence[float]
    losses: Tensor
    steps: int
    enough: float
    alive: Tensor

    @property
    def loss(self) -> float:
        """The first that was enough, else the lowest; infinite where none was finite."""
        at, slot = self._place
        return float(self._finite[at, slot])

    @property
    def slot(self) -> int:
        """That of the loss."""
        return self._place[1]

    @property
    def when(self) -> int:
        """Steps trained until the loss."""
        return self.steps * (1 + self._place[0])

    @property
    def trained(self) -> int:
        """Steps trained in all."""
        return self.steps * (len(self.losses) - 1)

    @property
    def pace(self) -> float:
        """The factor by which the loss of the slot changes in 100 steps, over the latter half of them."""
        curve = self.losses[:, self.slot]
        half = len(curve) // 2
        return float((curve[-1] / curve[half - 1]) ** (100 / (self.steps * (len(curve) - half))))

    def reached(self, slot: int) -> int | None:
        """Steps after which a slot's loss was enough, if it was."""
        places = (self._finite[:, slot] < self.enough).nonzero()
        return self.steps * (1 + int(places[0])) if len(places) else None

    @property
    def _finite(self) -> Tensor:
        return self.losses[1:].nan_to_num(nan=torch.inf)

    @property
    def _place(self) -> tuple[int, int]:
        """Evaluation (from 0) and slot of the loss."""
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
) -> Attempt:
    """Train on a batch until a slot's loss is below `enough`, or no slot's is finite, or the epochs are over.

    Args:
        values: the numeric hyperparameters of every slot, but for the learning rate.
        rates: the learning rate of each slot.
        awaited: the slot whose loss is waited for; None for any.
    """
    # First of all techniques, so that it sees what the activation gives.
    watched = replace(program, techniques=(_ALIVE, *program.techniques))
    pack = Pack(watched, batch, [Slot(i, 0, {**values, "lr": rate}) for i, rate in enumerate(rates)])
    losses = [pack.score(batch.x_val, batch.y_val)[0][: len(rates)].cpu()]
    learnt = False
    while pack.epoch < program.epochs:
        measured = pack.run_epoch()
        losses.append(measured["val_loss"])
        learnt = learnt or bool((losses[-1] < enough).any())
        waiting = awaited is not None and enough <= losses[-1][awaited] < torch.inf
        if (learnt and not waiting) or not losses[-1].isfinite().any():
            break
    steps = batch.train_rows // batch.rows
    return Attempt(tuple(rates), torch.stack(losses), steps, enough, measured["alive"])


def _count(h: Tensor, number: int, values: Values) -> Tensor:
    if number and not values.train:
        width = values.layout.widths[number]
        varying = h.amax(1) != h.amin(1)
        # Not one unit of the padding varies.
        values.state["alive"].copy_(torch.minimum(values.state["alive"], varying.sum(1) / width))
    return h


def _report(_weights: Tensor, values: Values) -> Mapping[str, Tensor]:
    alive = values.state["alive"].clone()
    values.state["alive"].fill_(1.0)
    return {"alive": alive}


# A unit that is the same for every row passes nothing on: a rectifier that is never positive, a tanh at its end.
_ALIVE = Technique(
    name="units alive",
    start=lambda values: {"alive": torch.ones(values.slots, dtype=torch.float64, device=values.device)},
    layer=_count,
    metrics=_report,
)
