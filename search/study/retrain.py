"""Train trials of a study again.

A trial is a pure function of the study, its hyperparameters and the replicate (contract C3, docs/design.md). So
training it again gives the network and the curves that the study saw, on the same machine to the bit. The study stores
no networks: whatever needs one trains it here.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray
from optuna.trial import FrozenTrial, TrialState

from search.errors import RequestError, counted
from search.record.curves import CURVES, Curves
from search.record.own import is_own
from search.record.summary import best_epochs, objectives
from search.study.chosen import chosen_trial
from search.study.model import Chosen
from search.study.progress import Log, Steps
from search.technique import Value
from search.train.cohort import Cohort
from search.train.crew import side_by_side, threads
from search.train.cut import cut
from search.train.member import Member
from search.train.metrics.objective import VAL_LOSS
from search.train.pack import Pack, Slot
from search.train.program import Program
from search.train.sampling import best_networks, objective_curves

if TYPE_CHECKING:
    from search.study.study import BaseStudy

Item = TypeVar("Item")


@dataclass(frozen=True, eq=False)
class Retraining:
    """A trial to train again.

    Retrainings of one program train in common packs, on the data of the first one's study; each replicate on its fold
    and in the scale of the trial.

    Attributes:
        study: the study, which has the data, the device and the largest number of slots in a pack.
        trial: the number by which the results are told apart, usually the trial's own.
        program: the program of the trial.
        values: its numeric hyperparameters.
        replicates: the numbers of the replicates to train.
        epoch: the epoch whose networks are wanted; by default each replicate's best one.
    """

    study: BaseStudy
    trial: int
    program: Program
    values: Mapping[str, float]
    replicates: Sequence[int]
    epoch: int | None = None

    @classmethod
    def of(
        cls, study: BaseStudy, trial: int, params: Mapping[str, Value], replicates: Iterable[int], **changes: Value
    ) -> Retraining:
        """Return the retraining of a trial of the study.

        Args:
            study: the study.
            trial: the trial's number.
            params: its hyperparameters, as Optuna has them.
            replicates: the numbers of the replicates to train.
            changes: the values of hyperparameters to train it with instead of its own.

        Raises:
            RequestError: the trial lacks a hyperparameter of the study.
        """
        own = complete_values(study, trial, params)
        values = {**own, **changes}
        # At other values, each replicate is taken at its own best epoch: no record says which one is the best for all.
        epoch = _common_epoch(study, trial) if values == own and study.objectives.common else None
        return cls(study, trial, study.program(values), study.numeric(values), tuple(replicates), epoch)


class Retrained(NamedTuple):
    """One replicate of a trial: a pack of this slot alone at its best epoch, and its loss and objective there."""

    trial: int
    replicate: int
    network: Pack
    val_loss: float
    objective: float


def retrain(retrainings: Sequence[Retraining], what: str, log: Log | None = None) -> Generator[Retrained]:
    """Train trials again, and yield the network of each replicate at its best epoch, in the order they are ready.

    The packs train side by side on the cores of the CPU. A replicate whose loss is never finite has no network, and is
    not yielded.

    Args:
        retrainings: the trials.
        what: a line that says what is trained.
        log: gets this line and others on the progress; by default they are shown on stderr, as `Steps` does.
    """
    epochs_wanted = {one.trial: one.epoch for one in retrainings if one.epoch is not None}
    yield from in_packs(retrainings, partial(_train_pack, epochs=epochs_wanted), what, log)


def retrain_objectives(
    retrainings: Sequence[Retraining], what: str, log: Log | None = None
) -> dict[int, NDArray[np.float64]]:
    """Train trials again, and return the objective of each one's replicates at their best epochs, ``(replicates,)``.

    In a cross-validation that is the epoch with the best mean of the trial's replicates (contract C8), whatever the
    record says: so trials at other values than their own are taken by the same rule as those at their own.

    Args:
        retrainings: trials of one study, each with a number of its own.
        what, log: see `retrain`.

    Returns:
        By trial, in the order of its replicates; infinite, with the sign of the worst, where one never was finite.
    """
    first = retrainings[0].study.objectives.first
    return {trial: objectives(curves, first) for trial, curves in retrain_together(retrainings, what, log).items()}


def retrain_together(retrainings: Sequence[Retraining], what: str, log: Log | None = None) -> dict[int, Curves]:
    """Train trials again in common packs, to their last epochs, and return their validation losses and objectives.

    Args:
        retrainings: trials of one study, each with a number of its own.
        what, log: see `retrain`.

    Returns:
        By trial, with its replicates in order.
    """
    first = retrainings[0].study.objectives.first
    curves = {(slot.trial, slot.replicate): curve for slot, curve in in_packs(retrainings, _curves_of, what, log)}
    found = {}
    for one in retrainings:
        rows = np.stack([curves[one.trial, replicate] for replicate in one.replicates], 1)
        # The loss is there twice if it is the objective.
        names, kept = ((VAL_LOSS.name,), rows[:1]) if first.is_loss else ((VAL_LOSS.name, first.name), rows)
        found[one.trial] = Curves(names, kept)
    return found


def in_packs(
    retrainings: Sequence[Retraining],
    train: Callable[[Retraining, Sequence[Slot]], Generator[Item | int]],
    what: str,
    log: Log | None,
) -> Generator[Item]:
    """Train trials in packs, side by side on the cores of the CPU, and yield what `train` yields of a pack.

    Args:
        retrainings: the trials.
        train: trains some slots of a retraining's program; it also yields numbers of epochs that are done.
        what, log: see `retrain`.
    """
    owners = {id(one.program): one for one in reversed(retrainings)}
    slots = [
        (
            (id(one.program), owners[id(one.program)].study.batches.fold(replicate)),
            Slot(one.trial, replicate, one.values),
        )
        for one in retrainings
        for replicate in one.replicates
    ]
    workers = threads(retrainings[0].study.device)
    width = min(one.study.width for one in retrainings)
    packs = [(owners[slots[part[0]][0][0]], [slots[place][1] for place in part]) for part in cut(slots, width, workers)]
    jobs = [partial(train, owner, chosen) for owner, chosen in packs]
    epochs = sum(owner.program.epochs * len(chosen) for owner, chosen in packs)
    with Steps(what, epochs, log=log) as steps, closing(side_by_side(jobs, workers)) as trained:
        for item in trained:
            if isinstance(item, int):
                steps.advance(item)
            else:
                yield item


def retrain_curves(retraining: Retraining, epochs: int, what: str, log: Log | None = None) -> Curves:
    """Train a trial again, without any other trial, and return its curves.

    Args:
        retraining: the trial, with its replicates from 0 on.
        epochs: the number of epochs after which to stop, if it does not end by itself before.
        what, log: see `retrain`.
    """
    member = Member(retraining.trial, retraining.program, retraining.values, len(retraining.replicates))
    cohort = Cohort([member], retraining.study.batches, retraining.study.width)
    total = min(epochs, retraining.program.epochs) * member.replicates
    with Steps(what, total, log=log) as steps, closing(cohort.advance(epochs)) as advanced:
        for completed in advanced:
            steps.advance(len(completed) * member.replicates)
    return Curves(*member.table())


def _common_epoch(study: BaseStudy, number: int) -> int | None:
    """Return the epoch at which all networks of a trial are taken in a cross-validation; None without a record."""
    record = numbered_trial(study, number).user_attrs.get(CURVES)
    return None if record is None else int(best_epochs(Curves.decode(record), study.objectives.first)[0])


def _train_pack(owner: Retraining, slots: Sequence[Slot], epochs: Mapping[int, int]) -> Generator[Retrained | int]:
    """Train a pack and yield the networks of its slots; before them, numbers of epochs that have been trained or saved.

    After each epoch it can be stopped.
    """
    data = owner.program.own(owner.study.batches, slots[0].replicate)
    left = owner.program.epochs * len(slots)
    for trained in best_networks(owner.program, data, slots, epochs):
        if trained is None:
            left -= len(slots)
            yield len(slots)
        else:
            (slot,) = trained.pack.slots
            yield Retrained(slot.trial, slot.replicate, *trained)
    yield left


def _curves_of(owner: Retraining, slots: Sequence[Slot]) -> Generator[tuple[Slot, NDArray[np.float32]] | int]:
    """Train a pack and yield the curves of its slots; before them, numbers of epochs that have been trained."""
    for trained in objective_curves(owner.program, owner.program.own(owner.study.batches, slots[0].replicate), slots):
        yield len(slots) if trained is None else trained


def retrained(study: BaseStudy, number: int, log: Log | None = None) -> Chosen:
    """Train the first replicate of a complete trial again, and return its network at its best epoch.

    Args:
        study: the study.
        number: the trial's number.
        log: see `retrain`.

    Raises:
        RequestError: there is no such complete trial, or it diverges now.
    """
    trial = complete_trial(study, number)
    retraining = Retraining.of(study, trial.number, trial.params, [0])
    if not (networks := list(retrain([retraining], f"training trial {trial.number} again", log))):
        raise RequestError(f"trial {trial.number} diverges when it is trained again: its loss is never finite")
    ((_, replicate, pack, val_loss, _),) = networks
    return Chosen(trial.number, replicate, pack, val_loss)


def complete_trial(study: BaseStudy, number: int | None) -> FrozenTrial:
    """Return a complete trial by its number; by default the one that the study has decided for, or its best one.

    Raises:
        RequestError: there is no such trial, or it is not complete.
    """
    if number is None:
        if (chosen := chosen_trial(study)) is None:
            what = "that meets its constraints" if study.recipe.constraints else ""
            raise RequestError(f"study {study.name!r} has no complete trial {what}".rstrip())
        return chosen
    trial = numbered_trial(study, number)
    if trial.state != TrialState.COMPLETE:
        raise RequestError(f"trial {number} is {trial.state.name.lower()}: give the number of a complete trial")
    return trial


def numbered_trial(study: BaseStudy, number: int) -> FrozenTrial:
    """Return a trial by its number, whatever its state.

    Raises:
        RequestError: there is no such trial, or the study has not asked it.
    """
    trials = study.optuna_study.get_trials(deepcopy=False)
    for trial in trials:
        if trial.number == number and (is_own(trial) or trial.state == TrialState.WAITING):
            return trial
        if trial.number == number:
            raise RequestError(
                f"trial {number} of study {study.name!r} was added by another program: it has no curves, and can't be"
                " trained again"
            )
    raise RequestError(
        f"study {study.name!r} has no trial {number}: it has {counted(len(trials), 'trial')}, numbered from 0"
    )


def complete_values(study: BaseStudy, number: int, params: Mapping[str, Value]) -> dict[str, Value]:
    """Return the values of all hyperparameters of a trial: those in `params`, and those that the study fixes.

    Raises:
        RequestError: the trial lacks a hyperparameter of the study.
    """
    values = study.space.complete(params)
    if values is None:
        raise RequestError(
            f"trial {number} lacks hyperparameters that study {study.name!r} searches: it can't be trained again"
        )
    return values
