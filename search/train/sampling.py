"""Networks at their best epochs, and Monte Carlo passes through them.

In a Monte Carlo pass ``f_t(x)``, t = 1 ... T, techniques that take part (dropout) draw as in training, and all others
(batch normalisation) behave as in evaluation. With dropout the passes are draws from an approximate posterior over
networks: their mean is the prediction, and their spread shows how much the prediction depends on the network.

Source: Gal and Ghahramani, "Dropout as a Bayesian approximation: representing model uncertainty in deep learning"
(ICML 2016).
"""

from __future__ import annotations

import math
from collections.abc import Generator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from search.train.batches import Batches
from search.train.pack import Pack, Slot
from search.train.program import Program


class Best(NamedTuple):
    """A slot at its best epoch: a pack of it alone, its validation loss, and the objective that says which is best."""

    pack: Pack
    val_loss: float
    objective: float


def best_networks(
    program: Program, batches: Batches, slots: Sequence[Slot], epochs: Mapping[int, int] | None = None
) -> Generator[Best | None]:
    """Train slots, and yield each one at its best epoch, which is that of the best value of the program's objective.

    The best network of a trial is always obtained by training the trial again, because a slot is a pure function. Its
    pack holds everything that prediction needs, such as running estimates, not the weights alone. The packs are in the
    order of trial and replicate. A slot whose loss is never finite has no network.

    Before that, None is yielded after each epoch, so that the caller can stop the training.

    Args:
        program: the program of the slots.
        batches: the data on the device.
        slots: the slots.
        epochs: the epoch to take instead of the best one, for trials where it is known.
    """
    pack = Pack(program, batches, slots)
    aim, epochs = program.objective, epochs or {}
    best: dict[tuple[int, int], Best] = {}
    stopped: set[tuple[int, int]] = set()
    for _ in range(program.epochs):
        measured = pack.run_epoch()
        # The objective is as precise as in the record, so that both have the same best epoch.
        values = zip(pack.slots, measured["val_loss"].tolist(), measured[aim.name].float().tolist(), strict=True)
        for index, (slot, loss, value) in enumerate(values):
            name = slot.trial, slot.replicate
            finite = math.isfinite(loss) and math.isfinite(value)
            if slot.trial in epochs:
                chosen = pack.epoch == epochs[slot.trial] or (slot in pack.stopped and pack.epoch < epochs[slot.trial])
            else:
                chosen = name not in best or aim.better(value, best[name].objective)
            if name not in stopped and finite and chosen:
                best[name] = Best(Pack.gather([pack], [(0, index)]), loss, value)
        stopped |= {(slot.trial, slot.replicate) for slot in pack.stopped}
        if len(stopped) == len(slots) or all(pack.epoch >= epochs.get(slot.trial, program.epochs) for slot in slots):
            break
        yield None
    for name in sorted(best):
        yield best[name]


def objective_curves(
    program: Program, batches: Batches, slots: Sequence[Slot]
) -> Generator[tuple[Slot, NDArray[np.float32]] | None]:
    """Train slots, and yield each one with its validation loss and its objective after each epoch, ``2 x epochs``.

    A slot that a technique stops keeps its last values until the last epoch. Before that, None is yielded after each
    epoch, so that the caller can stop the training.

    Args:
        program: the program of the slots.
        batches: the data on the device.
        slots: the slots.
    """
    pack = Pack(program, batches, slots)
    curves = np.empty((len(slots), 2, program.epochs), np.float32)
    stopped = np.zeros(len(slots), bool)
    for epoch in range(program.epochs):
        measured = pack.run_epoch()
        now = torch.stack([measured["val_loss"].float(), measured[program.objective.name].float()], 1).cpu().numpy()
        curves[:, :, epoch] = np.where(stopped[:, None], curves[:, :, epoch - 1], now)
        stopped |= [slot in pack.stopped for slot in pack.slots]
        yield None
        if stopped.all():
            curves[:, :, epoch + 1 :] = curves[:, :, epoch, None]
            break
    yield from zip(pack.slots, curves, strict=True)


def monte_carlo(network: Pack, x: Tensor, passes: int) -> Tensor:
    """Return the predictions of Monte Carlo passes through a pack of one slot, ``passes x examples x outputs``.

    Args:
        network: the pack.
        x: the inputs, ``examples x padded features``.
        passes: the number of passes.
    """
    outputs = network.batches.outputs
    return torch.stack([network.predict(x, number)[0, :, :outputs] for number in range(passes)])
