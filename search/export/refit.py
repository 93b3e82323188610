"""Train a chosen setting on training and validation rows, once the search is over.

The rows of the validation set have done their work: they have chosen the setting and its best epoch. So a network may
learn from them too. It trains for as many epochs as the search has found best, the mean of the best epochs of the
trial's replicates, rounded. What depends on the number of planned epochs, such as a learning rate schedule, is as it
was in the search. The scaling and the encoding stay those of the training rows. No rows are left to measure a
validation loss on.

A refitted network is a pure function of the study, its hyperparameters and the replicate, as any other (contract C3,
docs/design.md).
"""

from __future__ import annotations

import math
from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import torch

from search.data import Data
from search.errors import RequestError
from search.recipe import compose
from search.record.curves import CURVES, Curves
from search.record.summary import best_epochs
from search.study.model import Chosen
from search.study.progress import Log, Steps
from search.study.retrain import Retraining, complete_values, numbered_trial
from search.technique import Value
from search.train.batches import Batches
from search.train.crew import side_by_side, threads
from search.train.cut import cut
from search.train.pack import Pack, Slot
from search.train.program import Program

if TYPE_CHECKING:
    from search.study.study import BaseStudy


class _OneTrial:
    """The values of one trial, as a technique's `check` asks for them."""

    def __init__(self, study: BaseStudy, values: dict[str, Value]) -> None:
        self._space, self._values = study.space, values

    def possible(self, name: str) -> list[Value]:
        """Return the one value that the trial has, or those of the study for what does not exist in the trial."""
        return [self._values[name]] if name in self._values else self._space.possible(name)


def mean_best_epoch(study: BaseStudy, number: int) -> int:
    """Return the mean best epoch of a trial's replicates, from 1, rounded; halves are rounded up.

    In a cross-validation, the best epoch is the same for all.
    """
    curves = Curves.decode(numbered_trial(study, number).user_attrs[CURVES])
    return max(1, math.floor(float(best_epochs(curves, study.objectives.first).mean()) + 0.5))


def joined(data: Data) -> Data:
    """Return the data with the validation rows after the training rows, in place of both; scaled as before."""
    x, y = torch.cat([data.x_train, data.x_val]), torch.cat([data.y_train, data.y_val])
    weights = None if data.w_train is None or data.w_val is None else torch.cat([data.w_train, data.w_val])
    return replace(data, x_train=x, y_train=y, w_train=weights, folds=())


def validate_refit(study: BaseStudy, number: int) -> None:
    """Refuse a trial whose techniques cannot train on these rows, such as batch_norm with one row left over.

    Raises:
        RequestError: a technique refuses; the message names it.
    """
    values = complete_values(study, number, numbered_trial(study, number).params)
    data, techniques = joined(study.data), study.techniques
    try:
        compose.validate_study(techniques, techniques, data, _OneTrial(study, values), study.loss)
    except RequestError as error:
        raise RequestError(f"refit of trial {number} on training and validation rows: {error}") from None


def refit(study: BaseStudy, chosen: Sequence[Chosen], log: Log | None = None) -> list[Chosen]:
    """Train the networks anew on training and validation rows, each for its trial's mean best epoch.

    Args:
        study: the study.
        chosen: the networks.
        log: gets lines on the progress; by default they are shown on stderr.

    Raises:
        RequestError: a technique cannot train on these rows, or a network's weights are not finite afterwards.
    """
    for number in {one.trial for one in chosen}:
        validate_refit(study, number)
    epochs = {one.trial: mean_best_epoch(study, one.trial) for one in chosen}
    slots, programs = [], {}
    by_data: dict[Data, Batches] = {}
    batches: dict[int, Batches] = {}
    for one in chosen:
        params = numbered_trial(study, one.trial).params
        retraining = Retraining.of(study, one.trial, params, [one.replicate])
        program = retraining.program
        programs[id(program)], data = program, program.own(study.data)
        if data not in by_data:
            by_data[data] = Batches(joined(data), study.device)
        batches[id(program)] = by_data[data]
        slots.append((id(program), Slot(one.trial, one.replicate, retraining.values)))
    workers = threads(study.device)
    jobs = [
        partial(_train, programs[key := slots[part[0]][0]], batches[key], [slots[at][1] for at in part], epochs)
        for part in cut(slots, study.width, workers)
    ]
    total = sum(epochs[one.trial] for one in chosen)
    fitted: dict[tuple[int, int], Pack] = {}
    rows = len(study.data.x_train) + len(study.data.x_val)
    what = f"training on {rows:,} training and validation rows"
    with Steps(what, total, log=log) as steps, closing(side_by_side(jobs, workers)) as trained:
        for item in trained:
            if isinstance(item, int):
                steps.advance(item)
            else:
                (slot,) = item.slots
                fitted[slot.trial, slot.replicate] = item
    networks = [(one, fitted[one.trial, one.replicate]) for one in chosen]
    for one, network in networks:
        if not network.state["theta"].isfinite().all():
            raise RequestError(f"trial {one.trial} diverges on training and validation rows: leave out --refit")
    return [replace(one, network=network, val_loss=None, refit_epochs=epochs[one.trial]) for one, network in networks]


def _train(program: Program, batches: Batches, slots: Sequence[Slot], epochs: dict[int, int]) -> Generator[Pack | int]:
    """Train a pack, and yield the pack of each slot at its last epoch; after each epoch, the number of slots left."""
    pack = Pack(program, batches, slots)
    while pack.epoch < max(epochs[slot.trial] for slot in slots):
        # A technique that would stop a slot here has been heard in the search: the best epoch came before.
        pack.run_epoch()
        yield sum(epochs[slot.trial] >= pack.epoch for slot in slots)
        for index, slot in enumerate(pack.slots):
            if epochs[slot.trial] == pack.epoch:
                yield Pack.gather([pack], [(0, index)])
