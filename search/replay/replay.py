"""A trial trained again, alone, and compared with its record: every metric, replicate and epoch.

    record --> the same recipe, hyperparameters, replicates --> train, alone --> compare --> same, or what differs

Where the bits of a result can be expected (the CPU, of the same type, with the same torch), every one of them is to be
the same. Elsewhere the losses of the first epochs agree within a tolerance; later ones need not, because training
magnifies a difference in rounding, nor need counts (accuracy, sparsity), of which one row is more than the tolerance.
Some trials magnify it from their first steps (Adam at a learning rate of 0.1 on digits: 1e-7 becomes 0.3 in an epoch).
They show it where they are: a learning rate that differs in its last bit moves them as far.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from optuna.trial import FrozenTrial, TrialState

from search.errors import EnvironmentFault, RequestError, counted
from search.record import environment
from search.record.curves import CURVES, Curves
from search.show import html
from search.show.sheet import Sheet
from search.show.text import number, plain
from search.study.identity import Mismatch
from search.study.results import STATES
from search.study.retrain import numbered
from search.train.cohort import Cohort, Member

if TYPE_CHECKING:
    from search.study.study import BaseStudy

HELD_EPOCHS = 3
TOLERANCE = {"fp32": 1e-4}
"""Relative, of the losses of the first `HELD_EPOCHS`; other precisions round too coarsely to be held to any."""
_HELD = ("_loss", "_objective", "_rmse")


@dataclass(frozen=True)
class Difference:
    """How a metric differs from its record.

    Attributes:
        metric: its name.
        values: how many of its numbers differ.
        absolute: the largest absolute difference; infinite where one of both is not finite.
        relative: the largest relative one, to the larger of both.
        epoch: the first epoch that differs, counted from 1; replicate: the first that does there.
        held: the largest relative one where a tolerance holds.
    """

    metric: str
    values: int
    absolute: float
    relative: float
    epoch: int
    replicate: int
    held: float

    @property
    def of_a_loss(self) -> bool:
        """Whether it is held to the tolerance, where bits are not expected."""
        return self.metric.endswith(_HELD)


@dataclass(frozen=True)
class Replay:
    """What training a trial again came to.

    Attributes:
        study, trial, state: whose record; `state` is "complete" or "pruned".
        metrics: how many there are in the record; replicates, epochs: likewise.
        exact: whether every bit is to be the same here.
        tolerance: of the losses of the first epochs, where it is not; None for none.
        mismatches: what differs between the recorded environment and this one, a line each.
        missing: metrics that one of the two has and the other has not, a line each.
        ended: the epoch at which it ended here, by itself or because the record ends there.
        differences: the metrics that differ.
        rounding: how far, relative, the held losses are moved by a learning rate that differs in its last bit; None
            where nothing is beyond the tolerance.
    """

    study: str
    trial: int
    state: str
    metrics: int
    replicates: int
    epochs: int
    exact: bool
    tolerance: float | None
    mismatches: Sequence[str]
    missing: Sequence[str]
    ended: int
    differences: Sequence[Difference]
    rounding: float | None = None

    @property
    def same(self) -> bool:
        """Whether every number is the same to the bit."""
        return not self.differences and not self.missing and self.ended == self.epochs

    @property
    def holds(self) -> bool:
        """Whether nothing differs that must not."""
        if self.same or self.exact or self.missing:
            return self.same
        return self._magnifies or (not self.beyond and self.ended >= min(HELD_EPOCHS, self.epochs))

    @property
    def beyond(self) -> list[Difference]:
        """The losses that differ by more than the tolerance."""
        if self.tolerance is None:
            return []
        return [one for one in self.differences if one.of_a_loss and one.held > self.tolerance]

    @property
    def _magnifies(self) -> bool:
        """Whether the trial makes more of rounding than the tolerance, also where nothing else differs."""
        return self.rounding is not None and self.tolerance is not None and self.rounding > self.tolerance

    def outcome(self) -> dict[str, Any]:
        """All of it, as JSON can hold it."""
        found: dict[str, Any] = plain(asdict(self) | {"same": self.same, "holds": self.holds})
        return found | {"differences": [plain(asdict(one)) for one in self.differences]}

    def __repr__(self) -> str:
        table = [str(self.table()).rstrip()] if self.differences else []
        return "\n".join([*self.said(), *table, *([] if self.same else [self.verdict()])])

    def _repr_html_(self) -> str:
        differing = html.table(self.table()) if self.differences else ""
        return html.block(html.lines(self.said()), differing, html.lines([self.verdict()]))

    def said(self) -> list[str]:
        """What came of it, but for the table and the verdict."""
        who = f"trial {self.trial} of {self.study} ({self.state})"
        counts = ((self.metrics, "metric"), (self.replicates, "replicate"), (self.epochs, "epoch"))
        numbers = " x ".join(counted(*one) for one in counts)
        if self.same:
            return [f"{who}: every number of {numbers} is the same to the bit"]
        lines = [f"{who}: of {numbers} not all are the same", *self.missing]
        if self.ended < self.epochs:
            lines.append(f"here it ends at epoch {self.ended}")
        return lines

    def table(self) -> Sheet:
        """The metrics that differ."""
        headings = ("metric", "numbers that differ", "absolute", "relative", "first epoch", "replicate")
        rows = [
            (one.metric, *map(number, (one.values, one.absolute, one.relative, one.epoch, one.replicate)))
            for one in self.differences
        ]
        return Sheet(headings, rows, ("metric",))

    def verdict(self) -> str:
        """Whether that may be, and why; empty where all is the same."""
        if self.same:
            return ""
        if self.missing:
            return "it is not the same trial's record"
        if self.exact:
            return "they must be the same: device, CPU, precision and torch are those of the record"
        reason = "bits cannot be expected here"
        if self.tolerance is None:
            return f"{reason}, nor any tolerance in this precision"
        held = f"the losses of the first {HELD_EPOCHS} epochs"
        if self.beyond:
            worst = max(self.beyond, key=lambda one: one.held)
            off = f"{worst.metric} is off by {worst.held:.1e}"
            if not self._magnifies:
                return f"{reason}, but {held} within {self.tolerance:g} relative: {off}"
            return (
                f"{reason}, nor {held} within {self.tolerance:g} relative ({off}): the trial magnifies rounding, a "
                f"learning rate that differs in its last bit moves them by {self.rounding:.1e}"
            )
        return f"{reason}; {held} are within {self.tolerance:g} relative, as they must be"


def replay(study: BaseStudy, trial: int, say: Callable[[str], None] = lambda _line: None) -> Replay:
    """Train a finished trial again, alone, to as many epochs as its record has, and compare.

    Args:
        say: is told in what the environment differs, and what is being trained, a line each.

    Raises:
        RequestError: there is no such trial, it has no record to compare with, or the study's data or settings are
            others here.
        EnvironmentFault: its record can't be read.
    """
    try:
        opened = study.optuna_study
    except Mismatch as mismatch:
        raise RequestError(f"{mismatch}: a trial can be replayed only on the data and settings it had") from None
    found = numbered(study, trial)
    record = _record(found)
    values = study.space.complete(found.params)
    if values is None:
        raise RequestError(f"trial {trial} has not all hyperparameters of study {study.name!r}: it can't be replayed")
    there, here = environment.recorded(opened, found), study.environment()
    differing = environment.mismatches(there, here)
    for line in differing:
        say(line)
    say(f"training trial {trial} alone, {record.replicates} x {record.epochs} epochs, on {here['device']}")
    numeric = study.numeric(values)
    again = _train(study, Member(trial, study.program(values), numeric, record.replicates), record.epochs)
    exact = environment.same_bits(there, here)
    found_out = Replay(
        study.name, trial, STATES[found.state], len(record.metrics), record.replicates, record.epochs,
        exact, None if exact else TOLERANCE.get(study.recipe.precision),
        differing, _missing(record, again), again.epochs, compare(record, again),
    )  # fmt: skip
    if not found_out.beyond:
        return found_out
    say("training it once more with a learning rate that differs in its last bit")
    nudged = numeric | {"lr": numeric["lr"] * (1 + 2**-23)}
    other = _train(study, Member(trial, study.program(values), nudged, record.replicates), HELD_EPOCHS)
    moved = [one.held for one in compare(other, again) if one.of_a_loss]
    return replace(found_out, rounding=max(moved, default=0.0))


def _train(study: BaseStudy, member: Member, epochs: int) -> Curves:
    """Train one trial, alone, for so many epochs, or until it ends by itself."""
    with closing(Cohort([member], study.batches, study.width).advance(epochs)) as trained:
        for _ in trained:
            pass
    return Curves(*member.table())


def _record(trial: FrozenTrial) -> Curves:
    """A finished trial's curves."""
    number = trial.number
    if trial.state not in (TrialState.COMPLETE, TrialState.PRUNED):
        raise RequestError(f"trial {number} is {STATES[trial.state]}: takes a complete or a pruned one")
    if CURVES not in trial.user_attrs:
        raise RequestError(f"trial {number} has no curves to be compared with")
    try:
        record = Curves.decode(trial.user_attrs[CURVES])
    except ValueError as error:
        raise EnvironmentFault(f"the record of trial {number} can't be read: {error}") from error
    if not record.values.size:
        raise RequestError(f"trial {number} has no curves to be compared with")
    return record


def _missing(record: Curves, again: Curves) -> list[str]:
    lines = [f"{name}: in the record only" for name in record.metrics if name not in again.metrics]
    return [*lines, *(f"{name}: not in the record" for name in again.metrics if name not in record.metrics)]


def compare(record: Curves, again: Curves) -> list[Difference]:
    """The metrics that both have and that differ in some bit, over the epochs that both have; NaN equals NaN."""
    found = []
    epochs = min(record.epochs, again.epochs)
    for metric in (name for name in record.metrics if name in again.metrics):
        was, now = record.of(metric)[:, :epochs], again.of(metric)[:, :epochs]
        bits = was.view(np.uint32) != now.view(np.uint32)
        differs = bits & ~(np.isnan(was) & np.isnan(now))
        if not differs.any():
            continue
        absolute, relative = _distances(was.astype(np.float64), now.astype(np.float64), differs)
        epoch = int(differs.any(0).argmax())
        found.append(
            Difference(
                metric,
                values=int(differs.sum()),
                absolute=float(absolute.max()),
                relative=float(relative.max()),
                epoch=epoch + 1,
                replicate=int(differs[:, epoch].argmax()),
                held=float(relative[:, :HELD_EPOCHS].max()),
            )
        )
    return found


def _distances(
    one: NDArray[np.float64], other: NDArray[np.float64], differs: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Absolute and relative differences, 0 where none is; infinite where one of both is not finite."""
    with np.errstate(invalid="ignore", divide="ignore"):
        absolute = np.abs(one - other)
        relative = absolute / np.maximum(np.abs(one), np.abs(other))
    far = ~(np.isfinite(one) & np.isfinite(other))
    absolute = np.where(differs, np.where(far, np.inf, absolute), 0.0)
    # 0.0 and -0.0 differ, by nothing.
    return absolute, np.where(absolute > 0, np.where(far, np.inf, relative), 0.0)
