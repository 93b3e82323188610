"""What a comparison of trials came to: one table of the trials, one sentence for each pair, the same as data.

A verdict is read off the interval that is printed with it: one trial beats the other exactly if the interval leaves out
0. Of several pairs all intervals hold at once with 95% (Bonferroni over all pairs: who is best is seen in the very rows
that are tested, so that "all against the best" would be no smaller a family). Verdicts are of accuracy or RMSE; the
loss is given beside them, with intervals of the same kind.
"""

from __future__ import annotations

import html
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any, Literal

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from search.record.plan import trial_name
from search.show.comparison import Floats, crossed, root
from search.show.table import number, plain

if TYPE_CHECKING:
    import pandas as pd

Metric = Literal["accuracy", "rmse"]
_LABELS: Mapping[Metric, str] = {"accuracy": "test accuracy, %", "rmse": "test RMSE, units of the data"}


@dataclass(frozen=True)
class Interval:
    """A value, and low and high of its 95% interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        value, low, high = figures(self.value, self.low, self.high, digits=2)
        return f"{value} ({low} to {high})"


@dataclass(frozen=True)
class Arm:
    """A study's chosen trial, trained on fresh replicates and tested.

    Attributes:
        searched: how many trials the study has finished.
        value: the trial's in its study.
        losses: of the test examples, ``replicates x examples``.
        scores: 1 where the class is right, or the squared error in the user's units, likewise.
        readings: how often the study's test split has been read by now, this time included.
    """

    study: str
    trial: int
    params: Mapping[str, Any]
    label: str
    searched: int
    value: float
    losses: Floats
    scores: Floats
    readings: int

    def cells(self, metric: Metric) -> Floats:
        """What each replicate and example adds to the metric as a person reads it: percent, or units of the data."""
        return 100 * self.scores if metric == "accuracy" else root(self.scores)


@dataclass(frozen=True)
class Difference:
    """Of two trials, the first less the second, with an interval that holds with all others of its family.

    Attributes:
        p: adjusted for the family, below 0.05 exactly where the interval leaves out 0.
        effect: the difference over the standard deviation of the replicates' paired differences; None where that is 0.
    """

    interval: Interval
    p: float
    effect: float | None


@dataclass(frozen=True)
class Pair:
    """Two trials, in the order in which their studies were named; what of training was common to both."""

    first: Arm
    second: Arm
    score: Difference
    loss: Difference | None
    shared: Sequence[str]


@dataclass(frozen=True)
class Comparison:
    """Chosen trials side by side.

    Attributes:
        metric: what verdicts are of: "accuracy" in percent, or "rmse" in units of the data.
        notes: what a reader should know besides.
    """

    metric: Metric
    arms: Sequence[Arm]
    pairs: Sequence[Pair]
    notes: Sequence[str]

    @classmethod
    def of(
        cls,
        metric: Metric,
        arms: Sequence[Arm],
        shared: Mapping[tuple[str, str], Sequence[str]],
        notes: Sequence[str],
        *,
        same_loss: bool,
    ) -> Comparison:
        """Every pair of trials, compared; `shared` is by the names of the studies."""
        couples = list(combinations(arms, 2))
        pairs = [
            Pair(
                a, b,
                _difference(a.cells(metric) - b.cells(metric), len(couples)),
                _difference(a.losses - b.losses, len(couples)) if same_loss else None,
                shared[a.study, b.study],
            )
            for a, b in couples
        ]  # fmt: skip
        return cls(metric, arms, pairs, notes)

    @property
    def replicates(self) -> int:
        """Fresh ones of each trial."""
        return len(self.arms[0].scores)

    @property
    def examples(self) -> int:
        """Of the test split."""
        return int(self.arms[0].scores.shape[1])

    @property
    def label(self) -> str:
        """The metric with its unit."""
        return _LABELS[self.metric]

    def score(self, arm: Arm) -> Interval:
        """A trial's metric with an interval of its own."""
        return _interval(arm.cells(self.metric))

    def sentence(self, pair: Pair) -> str:
        """Which of two trials is better, if either; read off the interval that it gives."""
        found, unit = pair.score.interval, "points of test accuracy" if self.metric == "accuracy" else "of test RMSE"
        if found.low > 0 or found.high < 0:
            # The better one first, and the numbers as they are said.
            first = (found.value > 0) == (self.metric == "accuracy")
            better, worse = (pair.first, pair.second) if first else (pair.second, pair.first)
            value, low, high = figures(abs(found.value), *sorted((abs(found.low), abs(found.high))))
            head = f"the chosen {better.label} beats the chosen {worse.label} by {value} {unit}"
        else:
            value, low, high = figures(found.value, found.low, found.high)
            told = f"the chosen {pair.first.label} and the chosen {pair.second.label}"
            head = f"no difference can be told between {told}: {value} {unit}"
        return (
            f"{head}, {self.confidence} {low} to {high}, {self.replicates} replicates, {self.examples:,} test examples"
        )

    @property
    def confidence(self) -> str:
        """What the intervals of pairs are called."""
        return "95% CI" if len(self.pairs) == 1 else f"95% CI ({len(self.pairs)} pairs at once)"

    def details(self, pair: Pair) -> str:
        """The effect size, the adjusted p and the difference in loss."""
        effect = "none" if pair.score.effect is None else f"{pair.score.effect:.2g}"
        lines = [f"effect size {effect}, p {pair.score.p:.2g}"]
        if pair.loss is not None:
            value, low, high = figures(*vars(pair.loss.interval).values(), digits=2)
            lines.append(f"test loss {value}, {self.confidence} {low} to {high}")
        return f"{pair.first.study} less {pair.second.study}: {'; '.join(lines)}"

    def remarks(self) -> list[str]:
        """What was common in training, what the figures mean, and how often the test splits have been read."""
        by_shared: dict[tuple[str, ...], list[str]] = {}
        for pair in self.pairs:
            by_shared.setdefault(tuple(pair.shared), []).append(f"{pair.first.study} and {pair.second.study}")
        found = []
        for shared, couples in by_shared.items():
            whose = "" if len(by_shared) == 1 else f" ({'; '.join(couples)})"
            found.append(f"shared by paired replicates{whose}: {', '.join(shared)}")
        family = (
            "" if len(self.pairs) == 1 else f"; intervals and p are adjusted for {len(self.pairs)} pairs (Bonferroni)"
        )
        found.append("replicates and test examples both count as a sample; effect size: difference / SD of the paired "
                     f"differences over replicates{family}")  # fmt: skip
        if self.metric == "rmse":
            found.append("the interval of a difference in RMSE is by the delta method")
        found += self.notes
        for arm in self.arms:
            times = "once" if arm.readings == 1 else f"{arm.readings} times"
            found.append(f"the test split of {arm.study} has now been read {times}")
        return found

    def __str__(self) -> str:
        table = Table(title=self._title(), title_justify="left")
        for heading in ("study", "chosen trial", "of", "val_loss", f"{self.label} (95% CI)", "test loss (95% CI)"):
            table.add_column(heading, justify="left" if heading in ("study", "chosen trial") else "right")
        for row in self._rows():
            table.add_row(*map(escape, row))
        text = io.StringIO()
        Console(file=text, width=120).print(table)
        verdicts = [line for pair in self.pairs for line in (self.sentence(pair), f"    {self.details(pair)}")]
        return text.getvalue() + "\n".join([*verdicts, "", *(f"- {line}" for line in self.remarks())])

    def _title(self) -> str:
        return f"{self.replicates} fresh replicates of each chosen trial, {self.examples:,} test examples"

    def _rows(self) -> list[tuple[str, ...]]:
        return [
            (arm.study, trial_name(arm.trial, arm.params), f"{arm.searched} trials", number(arm.value),
             str(self.score(arm)), str(_interval(arm.losses)))
            for arm in self.arms
        ]  # fmt: skip

    def _repr_html_(self) -> str:
        headings = ("study", "chosen trial", "of", "val_loss", f"{self.label} (95% CI)", "test loss (95% CI)")
        rows = [_html_row("th", headings), *(_html_row("td", row) for row in self._rows())]
        lines = [f"<p>{html.escape(self.sentence(pair))}<br><small>{html.escape(self.details(pair))}</small></p>"
                 for pair in self.pairs]  # fmt: skip
        remarks = "".join(f"<li>{html.escape(line)}</li>" for line in self.remarks())
        title = f"<caption>{html.escape(self._title())}</caption>"
        return f"<table>{title}{''.join(rows)}</table>{''.join(lines)}<ul>{remarks}</ul>"

    def trials(self) -> pd.DataFrame:
        """One row per chosen trial: study, trial, its hyperparameters, metric and loss with their intervals."""
        import pandas as pd

        return pd.DataFrame([self._arm(arm) for arm in self.arms])

    def frame(self) -> pd.DataFrame:
        """One row per pair: the two studies, difference, low, high, p, effect, the same of the loss, the verdict."""
        import pandas as pd

        return pd.DataFrame([self._pair(pair) for pair in self.pairs])

    def outcome(self) -> dict[str, Any]:
        """All of it, as JSON can hold it."""
        return {
            "metric": self.metric,
            "replicates": self.replicates,
            "test_examples": self.examples,
            "trials": [plain(self._arm(arm)) for arm in self.arms],
            "pairs": [plain(self._pair(pair) | {"shared": list(pair.shared)}) for pair in self.pairs],
            "notes": list(self.notes),
        }

    def _arm(self, arm: Arm) -> dict[str, Any]:
        head = {"study": arm.study, "trial": arm.trial, "params": dict(arm.params), "of": arm.searched}
        figures = _columns(self.metric, self.score(arm)) | _columns("loss", _interval(arm.losses))
        return head | {"val_loss": arm.value} | figures | {"test_readings": arm.readings}

    def _pair(self, pair: Pair) -> dict[str, Any]:
        row: dict[str, Any] = {"first": pair.first.study, "second": pair.second.study}
        row |= _columns(self.metric, pair.score.interval) | {"p": pair.score.p, "effect": pair.score.effect}
        if pair.loss is not None:
            row |= _columns("loss", pair.loss.interval) | {"loss_p": pair.loss.p, "loss_effect": pair.loss.effect}
        low, high = pair.score.interval.low, pair.score.interval.high
        winner = (pair.first if (low > 0) == (self.metric == "accuracy") else pair.second).study
        return row | {"better": winner if low > 0 or high < 0 else None, "sentence": self.sentence(pair)}


def _interval(cells: Floats, family: int = 1) -> Interval:
    found = crossed(cells)
    low, high = found.interval(family)
    return Interval(float(found.value), float(low), float(high))


def _difference(cells: Floats, family: int) -> Difference:
    found = crossed(cells)
    effect = float(found.value / found.spread) if found.spread > 0 else None
    return Difference(_interval(cells, family), float(found.p(family)), effect)


def _columns(name: str, found: Interval) -> dict[str, float]:
    return {name: found.value, f"{name}_low": found.low, f"{name}_high": found.high}


def _html_row(cell: str, texts: Sequence[str]) -> str:
    return f"<tr>{''.join(f'<{cell}>{html.escape(text)}</{cell}>' for text in texts)}</tr>"


def figures(*values: float, digits: int = 1) -> list[str]:
    """Numbers with as many decimals as the smallest of them takes: none is rounded to 0, and so to another verdict."""
    sizes = [abs(value) for value in values if value != 0 and math.isfinite(value)]
    places = max(1, digits - 1 - math.floor(math.log10(min(sizes)))) if sizes else 1
    return [f"{value:.{places}f}" if places <= 6 else f"{value:.{digits}g}" for value in values]
