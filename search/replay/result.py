"""The result of a replay: what differs from the record, and whether it may differ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from search.errors import counted
from search.show import html
from search.show.sheet import Sheet
from search.show.text import number, plain

HELD_EPOCHS = 3
"""The number of first epochs whose losses are held to a tolerance."""
TOLERANCE = {"fp32": 1e-4}
"""The relative tolerance by precision; other precisions round too coarsely for any."""
# Metrics that change continuously with the predictions; a share of right ones, or a rank, may jump.
_HELD = ("_loss", "_objective", "_rmse", "_mae", "_mape", "_brier")


@dataclass(frozen=True)
class Difference:
    """The difference between a metric and its record.

    Attributes:
        metric: the name of the metric.
        values: how many of its numbers differ.
        absolute: the largest absolute difference; infinite where one of the two numbers is not finite.
        relative: the largest difference relative to the larger of the two numbers.
        epoch: the first epoch that differs, counted from 1.
        replicate: the first replicate that differs in that epoch.
        held: the largest relative difference in the epochs that are held to a tolerance.
    """

    metric: str
    values: int
    absolute: float
    relative: float
    epoch: int
    replicate: int
    held: float

    @property
    def is_loss(self) -> bool:
        """Whether the metric is a loss or an error, which is held to the tolerance where bits may differ."""
        return self.metric.endswith(_HELD)


@dataclass(frozen=True)
class Replay:
    """The result of training a trial again.

    Attributes:
        study: the name of the study.
        trial: the number of the trial.
        state: its state, "complete" or "pruned".
        metrics: the number of metrics in the record.
        replicates: the number of replicates in the record.
        epochs: the number of epochs in the record.
        exact: whether every bit must be the same here.
        tolerance: the relative tolerance for the losses of the first epochs, where bits may differ; None for none.
        mismatches: the differences between the recorded environment and this one, a line each.
        missing: the metrics that only the record has, or only the replay, a line each.
        ended: the epoch at which the replay ended, by itself or because the record ends there.
        differences: the metrics that differ.
        rounding: the relative change of the held losses when the learning rate differs in its last bit; None where
            nothing is beyond the tolerance.
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
        """Whether nothing differs that must be the same."""
        if self.same or self.exact or self.missing:
            return self.same
        return self._magnifies or (not self.beyond and self.ended >= min(HELD_EPOCHS, self.epochs))

    @property
    def beyond(self) -> list[Difference]:
        """The losses that differ by more than the tolerance."""
        if self.tolerance is None:
            return []
        return [one for one in self.differences if one.is_loss and one.held > self.tolerance]

    @property
    def _magnifies(self) -> bool:
        """Whether rounding alone moves the losses by more than the tolerance."""
        return self.rounding is not None and self.tolerance is not None and self.rounding > self.tolerance

    def outcome(self) -> dict[str, Any]:
        """Return the whole result, as JSON can hold it."""
        fields: dict[str, Any] = plain(asdict(self) | {"same": self.same, "holds": self.holds})
        return fields | {"differences": [plain(asdict(one)) for one in self.differences]}

    def __repr__(self) -> str:
        table = [str(self.table()).rstrip()] if self.differences else []
        return "\n".join([*self.summary(), *table, *([] if self.same else [self.verdict()])])

    def _repr_html_(self) -> str:
        differing = html.table(self.table()) if self.differences else ""
        return html.block(html.lines(self.summary()), differing, html.lines([self.verdict()]))

    def summary(self) -> list[str]:
        """Say whether all numbers are the same, and what is missing, a line each."""
        who = f"trial {self.trial} of {self.study} ({self.state})"
        counts = ((self.metrics, "metric"), (self.replicates, "replicate"), (self.epochs, "epoch"))
        numbers = " x ".join(counted(*one) for one in counts)
        if self.same:
            return [f"{who}: every number of {numbers} is the same to the bit"]
        lines = [f"{who}: not all numbers of {numbers} are the same", *self.missing]
        if self.ended < self.epochs:
            lines.append(f"the replay ends at epoch {self.ended}")
        return lines

    def table(self) -> Sheet:
        """Return a table with a row for each metric that differs."""
        headings = ("metric", "numbers that differ", "absolute", "relative", "first epoch", "replicate")
        rows = [
            (one.metric, *map(number, (one.values, one.absolute, one.relative, one.epoch, one.replicate)))
            for one in self.differences
        ]
        return Sheet(headings, rows, ("metric",))

    def verdict(self) -> str:
        """Say whether the numbers may differ, and why; return "" if all are the same."""
        if self.same:
            return ""
        if self.missing:
            return "the record has other metrics: it is not the record of this trial"
        if self.exact:
            return "they must be the same: device, CPU, precision and torch are those of the record"
        reason = "the bits may differ here"
        if self.tolerance is None:
            return f"{reason}, and in this precision no tolerance can be required"
        held = f"the losses of the first {HELD_EPOCHS} epochs"
        required = f"to within {self.tolerance:g} relative"
        if not self.beyond:
            return f"{reason}; {held} agree {required}, as they must"
        worst = max(self.beyond, key=lambda one: one.held)
        off = f"{worst.metric} is off by {worst.held:.1e}"
        if not self._magnifies:
            return f"{reason}, but {held} must agree {required}: {off}"
        return (
            f"{reason}; {held} can't be required to agree {required} ({off}), because the trial magnifies rounding: a "
            f"learning rate that differs in its last bit moves them by {self.rounding:.1e}"
        )
