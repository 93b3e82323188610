"""One batch under the overfit check: whether it is fitted, and if not, why not.

What is seen (the loss is not finite, does not move, falls too slowly, has a floor) is said with its figure; the cause
is found by trying: other learning rates, without each technique in turn, a wider network.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from torch import Tensor

from search.check.weakest import learning_rates
from search.technique import Numeric, Value
from search.train.overfit import Attempt, OneBatch, overfit
from search.train.program import Program, hidden_widths

if TYPE_CHECKING:
    from search.study.study import BaseStudy

STEPS = 1_000
"""About as many steps are trained: the study's epochs, of as many steps each as come nearest to it."""
# Of the constant predictor's loss: above it, nothing is learnt.
_STUCK = 0.9
# Of the inputs' SD. Measured on `line`: in 1,000 steps a network comes to the loss that this leaves, for noise too.
_DETAIL = 1 / 8
_ANY_RATE = tuple(10.0**power for power in range(-6, 1))
# Those by which a technique acts on training; its others only describe, or tell its place in a study.
_HOOKS = ("init", "parameters", "input", "layer", "targets", "loss", "penalty", "gradient", "rate", "project")


@dataclass(frozen=True)
class Fit:
    """What came of one batch; losses are in evaluation mode, without penalties.

    Attributes:
        rows: of the batch.
        fitted: whether the loss fell below the threshold.
        limited: whether it did not, but came as low as rows that contradict each other, or nearly do, let it.
        loss: the first below the threshold, else the lowest; infinite where none was finite.
        threshold: 0.01 ln(classes), or 0.001 of the constant predictor's.
        constant: the loss of the best constant predictor.
        floor: the least that is possible: above 0 where rows of equal inputs have different targets.
        steps, lr: after how many steps, and at which learning rate, the loss was that.
        why: what is wrong where it was not fitted, what is worth knowing where it was; may be empty.
    """

    rows: int
    fitted: bool
    limited: bool
    loss: float
    threshold: float
    constant: float
    floor: float
    steps: int
    lr: float
    why: str = ""

    def __str__(self) -> str:
        place = f"after {self.steps:,} steps at lr={self.lr:.3g}"
        if self.fitted:
            text = f"fitted: loss {self.loss:.3g} < {self.threshold:.3g} {place}"
        elif math.isfinite(self.loss):
            text = f"not fitted: loss {self.loss:.3g} at best ({place}), not < {self.threshold:.3g}"
        else:
            text = "not fitted"
        return f"{text}; {self.why}" if self.why else text


@dataclass(frozen=True)
class Part:
    """Something that regularises and that can be left out: a technique, or the optimiser's weight decay."""

    label: str
    names: frozenset[str]
    technique: str | None


@dataclass(frozen=True)
class Change:
    """What is done otherwise, to find out what is wrong."""

    rates: tuple[float, ...]
    without: tuple[Part, ...] = ()
    hidden: str | None = None

    def __str__(self) -> str:
        parts = [f"without {part.label}" for part in self.without]
        hidden = [f"hidden={self.hidden}"] if self.hidden else []
        return ", ".join([*parts, *hidden, f"lr {span(self.rates)}"])


class Subject:
    """One batch, and all ways to train on it.

    Args:
        study: whose network, techniques and optimiser learn it.
        values: all its hyperparameters.
        x, y: the batch, as in `Data`.
        say: is told what is being trained.
    """

    def __init__(
        self, study: BaseStudy, values: Mapping[str, Value], x: Tensor, y: Tensor, say: Callable[[str], None]
    ) -> None:
        self._study, self._values, self._say = study, values, say
        self._numeric = study.space.numeric(values)
        # Schedules count epochs: they run over the check's steps as over the study's.
        epochs = min(int(values["epochs"]), STEPS)
        self._batch = OneBatch(study.data, x, y, study.device, round(STEPS / epochs))
        self._structure = study.space.structure(values) | {"batch_size": len(x), "epochs": epochs}
        self.rates = learning_rates(study.space, self._numeric["lr"])
        # A study's own learning rate is waited for, though another may be faster.
        fixed = "lr" not in study.space.searched
        self._own = self.rates.index(self._numeric["lr"]) if fixed else None
        loss = self._program().loss
        self._constant = self._batch.constant_loss(loss)
        self._conflicts, self._floor = self._batch.conflicts(loss)
        if study.data.task == "classification":
            self._threshold = 0.01 * math.log(max(study.data.outputs, 2))
        else:
            # Targets are standardised: where all of a batch are equal, 1 is the level of the constant predictor.
            self._threshold = 0.001 * (self._constant or 1.0)
        # Where zero is out of reach, being as near to what is possible is all that can be asked.
        self._enough = self._threshold + (self._floor if self._floor >= self._threshold else 0.0)
        self._blurred = self._batch.blurred_loss(loss, _DETAIL)
        self._learnt = max(self._enough, 1.2 * self._blurred) if self._blurred >= self._threshold else self._enough

    def fit(self, first: Change | None = None) -> tuple[Fit, Change | None]:
        """What comes of the batch, and the change that made it learn if it did not; `first` is tried before others."""
        attempt = self._attempt(Change(self.rates), self._enough, self._own)
        fitted, cure = attempt.loss < self._threshold, None
        if fitted:
            said = self._beside(attempt)
        else:
            said = self._obstacles()
            if not attempt.loss < self._learnt:
                cure, better = self._cure(first)
                said += [self._seen(attempt), self._cause(cure, better)]
        fit = Fit(
            len(self._batch.x_train), fitted, not fitted and attempt.loss < self._learnt, attempt.loss,
            self._threshold, self._constant, self._floor, attempt.when, attempt.rates[attempt.slot], "; ".join(said),
        )  # fmt: skip
        return fit, cure

    def _program(self, change: Change | None = None) -> Program:
        parts = () if change is None else change.without
        names = frozenset[str]().union(*(part.names for part in parts))
        techniques = [one for one in self._study.techniques if one.name not in {part.technique for part in parts}]
        hidden = {} if change is None or change.hidden is None else {"hidden": change.hidden}
        return Program.build(
            self._structure | hidden,
            [name for name in self._numeric if name not in names],
            # The check chooses the rows.
            [replace(technique, rows=None) for technique in techniques],
            self._batch, loss=self._study.loss, seed=self._study.recipe.seed, precision=self._study.recipe.precision,
        )  # fmt: skip

    def _attempt(self, change: Change, enough: float, awaited: int | None = None) -> Attempt:
        self._say(str(change))
        return overfit(self._program(change), self._batch, self._numeric, change.rates, enough, awaited)

    @cached_property
    def _parts(self) -> tuple[Part, ...]:
        """What can be left out, in the study's order."""
        parts = []
        for technique in self._program().techniques:
            if all(getattr(technique, hook) is None for hook in _HOOKS):
                continue
            own = [name for name in technique.hyperparameters if name in self._values]
            label = " ".join(f"{name}={shown(self._values[name])}" for name in own) or technique.name
            parts.append(Part(label, frozenset(own), technique.name))
        for name in self._numeric:
            declared = self._study.space.declared[name]
            if name not in self._study.space.owners and isinstance(declared, Numeric) and declared.stronger:
                parts.append(Part(f"{name}={shown(self._values[name])}", frozenset([name]), None))
        return tuple(parts)

    @property
    def _wider(self) -> str:
        width = max((256, *(2 * width for width in hidden_widths(str(self._structure["hidden"])))))
        return f"{width}x{width}"

    def _changes(self) -> Iterator[Change]:
        # Techniques first: in a few large steps a network may pass zero before a penalty gets hold of it.
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
        """The first change with which the batch is learnt, if there is one, and what came of it."""
        for change in [*([first] if first else []), *(change for change in self._changes() if change != first)]:
            attempt = self._attempt(change, self._learnt)
            if attempt.loss < self._learnt:
                return change, attempt
        return None, None

    def _obstacles(self) -> list[str]:
        """What in the batch keeps the loss from zero, whatever the network."""
        if self._floor >= self._threshold:
            rule = f"so that no loss below {self._floor:.3g} is possible"
            return [f"{self._conflicts} rows have the inputs of another row and other targets, {rule}"]
        if self._blurred >= self._threshold:
            rule = f"a network that does not tell them apart comes to {self._blurred:.3g}"
            return [f"rows of other targets are within {_DETAIL:g} SD of each other in every input: {rule}"]
        return []

    def _seen(self, attempt: Attempt) -> str:
        """How the loss behaved, with the figures that show it."""
        before = float(attempt.losses[0, 0])
        if not math.isfinite(before):
            broken = int((~self._batch.x_train.isfinite()).sum() + (~self._batch.y_train.isfinite()).sum())
            return f"the loss is not finite before training begins ({broken} of the batch's numbers are not)"
        if not math.isfinite(attempt.loss):
            return f"the loss is not finite at any learning rate, {span(self.rates)} ({before:.3g} before training)"
        if not attempt.loss < _STUCK * self._constant:
            text = f"it never gets away from the best constant predictor's {self._constant:.3g}"
            if not attempt.alive.any():
                text += ": every unit of a hidden layer is dead, the same for all rows, so that no gradient passes"
            return text
        if attempt.pace < 0.99:
            more = 100 * math.log(self._learnt / attempt.loss) / math.log(attempt.pace)
            return (
                f"it falls, from {before:.3g}, but too slowly: by {1 - attempt.pace:.0%} in 100 steps at the end, "
                f"which makes {more:,.0f} more"
            )
        return f"it has stopped falling, from {before:.3g} (the best constant predictor has {self._constant:.3g})"

    def _cause(self, change: Change | None, better: Attempt | None) -> str:
        """What makes the difference, found by trying."""
        if change is None or better is None:
            tried = [f"lr {span(_ANY_RATE)}", f"hidden={self._wider}"]
            tried[1:1] = [f"leaving out {part.label}" for part in self._parts]
            return f"none of these helps: {', '.join(tried)}"
        learnt = f"the batch is learnt in {better.when:,} steps at lr={better.rates[better.slot]:.3g}"
        said, otherwise = [], []
        if change.without:
            one = len(change.without) == 1
            labels = " and ".join(part.label for part in change.without)
            said.append(f"{labels} keep{'s' if one else ''} it there")
            otherwise.append(f"without {'it' if one else 'them'}")
        if change.hidden is not None:
            parameters = self._program().layout.trainable
            said.append(f"the network is too small to memorise {self._batch.rows} rows ({parameters:,} parameters)")
            otherwise.append(f"with hidden={change.hidden}")
        if said:
            return f"{', and '.join(said)}: {' and '.join(otherwise)} {learnt}"
        rate = better.rates[better.slot]
        if min(self.rates) < rate < max(self.rates):
            return f"the learning rates tried do not suit it: {learnt}"
        return f"learning rates from {span(self.rates)} are too {'low' if rate > max(self.rates) else 'high'}: {learnt}"

    def _beside(self, attempt: Attempt) -> list[str]:
        """What is worth knowing of a batch that was fitted."""
        if self._constant < self._threshold:
            return ["but all its targets are equal, so that a constant does"]
        if self._own is None or self._own == attempt.slot:
            return []
        rate, steps = self.rates[self._own], attempt.reached(self._own)
        if steps is not None:
            return [f"the study's own lr={rate:.3g} takes {steps:,}"]
        loss = float(attempt.losses[-1, self._own])
        return [f"but the study's own lr={rate:.3g} has not learnt it in {attempt.trained:,} (loss {loss:.3g})"]


def span(rates: Sequence[float]) -> str:
    """Learning rates as ``0.0001 to 0.01``."""
    low, high = f"{min(rates):.3g}", f"{max(rates):.3g}"
    return low if low == high else f"{low} to {high}"


def shown(value: Value) -> str:
    """A hyperparameter's value, to three digits."""
    return f"{value:.3g}" if isinstance(value, float) else str(value)
