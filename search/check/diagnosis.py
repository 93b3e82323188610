"""One batch under the overfit check: whether it is fitted, and if not, why not.

The symptom (the loss is not finite, does not move, falls too slowly, has a floor) is reported with its figures. The
cause is found by trying changes: other learning rates, leaving out each technique in turn, a wider network.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import TYPE_CHECKING

from torch import Tensor

from search.check.attempts import Job, attempts
from search.check.fit import Fit, format_span, format_value
from search.check.weakest import learning_rates
from search.study.progress import Log
from search.technique import Numeric, Value
from search.technique.technique import ACTING
from search.train.overfit import Attempt, OneBatch, overfit
from search.train.program import Program, hidden_widths

if TYPE_CHECKING:
    from search.study.study import BaseStudy

STEPS = 1_000
"""About how many steps are trained: the study's epochs, with as many steps each as come nearest to this number."""
# The share of the constant predictor's loss above which nothing has been learnt.
_STUCK = 0.9
# The resolution of inputs, in SD, that a network reaches in 1,000 steps; measured on `line`, for data and for noise.
_DETAIL = 1 / 8
_ANY_RATE = tuple(10.0**power for power in range(-6, 1))


@dataclass(frozen=True)
class Part:
    """Something that regularises and can be left out: a technique, or the optimiser's weight decay.

    Attributes:
        label: what sentences call it.
        names: the names of its hyperparameters.
        technique: the name of the technique; None for the optimiser.
    """

    label: str
    names: frozenset[str]
    technique: str | None


@dataclass(frozen=True)
class Change:
    """A change to the training that may show what is wrong.

    Attributes:
        rates: the learning rates.
        without: what is left out.
        hidden: the widths of the hidden layers, if they are changed.
    """

    rates: tuple[float, ...]
    without: tuple[Part, ...] = ()
    hidden: str | None = None

    def __str__(self) -> str:
        parts = [f"without {part.label}" for part in self.without]
        hidden = [f"hidden={self.hidden}"] if self.hidden else []
        return ", ".join([*parts, *hidden, f"lr {format_span(self.rates)}"])


class Subject:
    """One batch and the ways to train on it.

    Args:
        study: the study, which has the network, the techniques and the optimiser.
        values: the values of all its hyperparameters.
        x: the inputs of the batch, as in `Data`.
        y: the targets of the batch, as in `Data`.
        name: the name of the batch.
        log: see `Steps`.

    Attributes:
        rates: the learning rates that are tried.
        epochs: the number of epochs of a training.
    """

    def __init__(
        self, study: BaseStudy, values: Mapping[str, Value], x: Tensor, y: Tensor, name: str, log: Log | None
    ) -> None:
        self._study, self._values, self._name, self._log = study, values, name, log
        self._numeric = study.space.numeric(values)
        # Schedules count epochs, so the check has the study's epochs, with fewer or more steps each.
        self.epochs = min(int(values["epochs"]), STEPS)
        self._batch = OneBatch(study.program(values).own(study.data), x, y, study.device, round(STEPS / self.epochs))
        self._structure = study.space.structure(values) | {"batch_size": len(x), "epochs": self.epochs}
        self.rates = learning_rates(study.space, self._numeric["lr"])
        # A fixed learning rate is waited for, even if another one fits the batch in fewer steps.
        fixed = "lr" not in study.space.searched
        self._own = self.rates.index(self._numeric["lr"]) if fixed else None
        loss = self._program().loss
        self._constant = self._batch.constant_loss(loss)
        self._conflicts, self._floor = self._batch.conflicts(loss)
        if study.data.task == "classification":
            self._threshold = 0.01 * math.log(max(study.data.outputs, 2))
        else:
            # Targets are standardised, so where all targets of the batch are equal, 1 is the right scale.
            self._threshold = 0.001 * (self._constant or 1.0)
        # Where a loss of zero is impossible, the loss has to come as near to the lowest possible one.
        self._enough = self._threshold + (self._floor if self._floor >= self._threshold else 0.0)
        self._blurred = self._batch.blurred_loss(loss, _DETAIL)
        self._learnt = max(self._enough, 1.2 * self._blurred) if self._blurred >= self._threshold else self._enough

    def fit(self, attempt: Attempt, first: Change | None = None) -> tuple[Fit, Change | None]:
        """Return the result for the batch, and the change with which it is learnt if it was not fitted.

        Args:
            attempt: the result of the training as the study has it.
            first: a change to try before the others.
        """
        fitted, cure = attempt.loss < self._threshold, None
        if fitted:
            remarks = self._beside(attempt)
        else:
            remarks = self._obstacles()
            if not attempt.loss < self._learnt:
                cure, better = self._cure(first)
                remarks += [self._symptom(attempt), self._cause(cure, better)]
        fit = Fit(
            len(self._batch.x_train),
            fitted,
            not fitted and attempt.loss < self._learnt,
            attempt.loss,
            self._threshold,
            self._constant,
            self._floor,
            attempt.when,
            attempt.rates[attempt.slot],
            "; ".join(remarks),
        )
        return fit, cure

    def _program(self, change: Change | None = None) -> Program:
        parts = () if change is None else change.without
        names = frozenset[str]().union(*(part.names for part in parts))
        techniques = [one for one in self._study.techniques if one.name not in {part.technique for part in parts}]
        hidden = {} if change is None or change.hidden is None else {"hidden": change.hidden}
        return Program.build(
            self._structure | hidden,
            [name for name in self._numeric if name not in names],
            # The check chooses the rows of the batch itself.
            [replace(technique, rows=None) for technique in techniques],
            self._batch,
            loss=self._study.loss,
            seed=self._study.recipe.seed,
            precision=self._study.recipe.precision,
        )

    def job(self) -> Job:
        """Return the training as the study has it."""
        return self._job(Change(self.rates), self._enough, self._own)

    def _job(self, change: Change, enough: float, awaited: int | None = None) -> Job:
        return partial(overfit, self._program(change), self._batch, self._numeric, change.rates, enough, awaited)

    @cached_property
    def _parts(self) -> tuple[Part, ...]:
        """The parts that can be left out, in the study's order."""
        parts = []
        for technique in self._program().techniques:
            if all(getattr(technique, hook) is None for hook in ACTING):
                continue
            own = [name for name in technique.hyperparameters if name in self._values]
            label = " ".join(f"{name}={format_value(self._values[name])}" for name in own) or technique.name
            parts.append(Part(label, frozenset(own), technique.name))
        for name in self._numeric:
            declared = self._study.space.declared[name]
            if name not in self._study.space.owners and isinstance(declared, Numeric) and declared.stronger:
                parts.append(Part(f"{name}={format_value(self._values[name])}", frozenset([name]), None))
        return tuple(parts)

    @property
    def _wider(self) -> str:
        width = max((256, *(2 * width for width in hidden_widths(str(self._structure["hidden"])))))
        return f"{width}x{width}"

    def _changes(self) -> Iterator[Change]:
        # Techniques come first: with a high learning rate a batch may be fitted before a penalty takes effect.
        for part in self._parts:
            yield Change(self.rates, (part,))
        if len(self._parts) > 1:
            yield Change(self.rates, self._parts)
        yield Change(_ANY_RATE)
        if self._parts:
            yield Change(_ANY_RATE, self._parts)
        yield Change(self.rates, hidden=self._wider)
        if self._parts:
            yield Change(self.rates, self._parts, self._wider)

    def _cure(self, first: Change | None) -> tuple[Change, Attempt] | tuple[None, None]:
        """Return the first change with which the batch is learnt and its training, or None twice."""
        for change in [*([first] if first else []), *(change for change in self._changes() if change != first)]:
            what = f"training {self._name}: {change}"
            (attempt,) = attempts([self._job(change, self._learnt)], self.epochs, self._study.device, what, self._log)
            if attempt.loss < self._learnt:
                return change, attempt
        return None, None

    def _obstacles(self) -> list[str]:
        """Say what in the batch keeps the loss from zero with any network."""
        if self._floor >= self._threshold:
            rule = f"so no loss below {self._floor:.3g} is possible"
            return [f"{self._conflicts} rows have the same inputs as another row but different targets, {rule}"]
        if self._blurred >= self._threshold:
            rule = f"a network that does not tell them apart has a loss of {self._blurred:.3g}"
            return [f"some rows with different targets are within {_DETAIL:g} SD of each other in every input: {rule}"]
        return []

    def _symptom(self, attempt: Attempt) -> str:
        """Say how the loss behaved, with figures."""
        before = float(attempt.losses[0, 0])
        if not math.isfinite(before):
            broken = int((~self._batch.x_train.isfinite()).sum() + (~self._batch.y_train.isfinite()).sum())
            return f"the loss is not finite before training begins ({broken} of the batch's numbers are not finite)"
        if not math.isfinite(attempt.loss):
            return (
                f"the loss is not finite at any learning rate, {format_span(self.rates)} ({before:.3g} before training)"
            )
        if not attempt.loss < _STUCK * self._constant:
            text = f"it never falls clearly below that of the best constant predictor, {self._constant:.3g}"
            if not attempt.alive.any():
                text += ": every unit of a hidden layer is dead, that is, the same for all rows, so no gradient passes"
            return text
        if attempt.pace < 0.99:
            more = 100 * math.log(self._learnt / attempt.loss) / math.log(attempt.pace)
            return (
                f"it falls, from {before:.3g}, but too slowly: by {1 - attempt.pace:.0%} in 100 steps at the end; "
                f"at this pace it needs {more:,.0f} more steps"
            )
        constant = f"the loss of the best constant predictor is {self._constant:.3g}"
        return f"it has stopped falling, from {before:.3g} ({constant})"

    def _cause(self, change: Change | None, better: Attempt | None) -> str:
        """Say which change lets the batch be learnt."""
        if change is None or better is None:
            tried = [f"lr {format_span(_ANY_RATE)}", f"hidden={self._wider}"]
            tried[1:1] = [f"leaving out {part.label}" for part in self._parts]
            return f"none of these changes helps: {', '.join(tried)}"
        learnt = f"the batch is learnt in {better.when:,} steps at lr={better.rates[better.slot]:.3g}"
        causes, remedies = [], []
        if change.without:
            one = len(change.without) == 1
            labels = " and ".join(part.label for part in change.without)
            causes.append(f"{labels} keep{'s' if one else ''} it there")
            remedies.append(f"without {'it' if one else 'them'}")
        if change.hidden is not None:
            parameters = self._program().layout.trainable
            causes.append(f"the network is too small to memorise {self._batch.rows} rows ({parameters:,} parameters)")
            remedies.append(f"with hidden={change.hidden}")
        if causes:
            return f"{', and '.join(causes)}: {' and '.join(remedies)} {learnt}"
        rate = better.rates[better.slot]
        if min(self.rates) < rate < max(self.rates):
            return f"none of the learning rates tried suits it: {learnt}"
        fault = "low" if rate > max(self.rates) else "high"
        return f"learning rates from {format_span(self.rates)} are too {fault}: {learnt}"

    def _beside(self, attempt: Attempt) -> list[str]:
        """Say what is worth knowing about a batch that was fitted."""
        if self._constant < self._threshold:
            return ["but all its targets are equal, so a constant predicts them"]
        if self._own is None or self._own == attempt.slot:
            return []
        rate, steps = self.rates[self._own], attempt.reached(self._own)
        if steps is not None:
            return [f"the study's own lr={rate:.3g} takes {steps:,} steps"]
        loss = float(attempt.losses[-1, self._own])
        return [f"but the study's own lr={rate:.3g} has not learnt it in {attempt.trained:,} steps (loss {loss:.3g})"]
