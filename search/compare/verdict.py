"""The result of a comparison: a table of the chosen trials, a sentence for each pair, and the same as data.

A verdict follows from the interval that is printed with it: one trial beats the other exactly if the interval excludes
0. The intervals of several pairs hold together with 95% (Bonferroni over all pairs). "All against the best" would be no
smaller a family, because the best trial is identified on the same test rows. Verdicts are on accuracy, RMSE or another
metric (`search.compare.scoring`); the loss is given as well, as a family of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

from search.compare import page, remarks
from search.compare.figure import Row, draw_intervals
from search.compare.pairs import (
    Arm,
    Pair,
    Shared,
)
from search.compare.scoring import Scoring
from search.show import figure_file, html
from search.show.interval import Interval
from search.show.sheet import Sheet
from search.show.text import format_figures, number, plain, trial_name
from search.storage.files import write_whole

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Comparison:
    """Chosen trials and the differences between them.

    Attributes:
        scoring: what verdicts are on, such as accuracy in percent or RMSE in units of the data.
        arms: the chosen trials.
        pairs: every two of them.
        notes: further remarks for the reader.
    """

    scoring: Scoring
    arms: Sequence[Arm]
    pairs: Sequence[Pair]
    notes: Sequence[str]

    @classmethod
    def of(
        cls,
        scoring: Scoring,
        arms: Sequence[Arm],
        shared: Mapping[tuple[str, str], Shared],
        notes: Sequence[str],
        *,
        same_loss: bool,
    ) -> Comparison:
        """Compare every two trials.

        Args:
            scoring: what verdicts are on.
            arms: the chosen trials.
            shared: what their paired replicates have in common, by the names of two studies.
            notes: further remarks for the reader.
            same_loss: whether all studies measure the loss in the same way.
        """
        couples = list(combinations(arms, 2))
        pairs = [
            Pair(
                a,
                b,
                scoring.difference(a, b, len(couples)),
                scoring.loss_difference(a, b, len(couples)) if same_loss else None,
                shared[a.study, b.study],
            )
            for a, b in couples
        ]
        return cls(scoring, arms, pairs, notes)

    @property
    def metric(self) -> str:
        """The name of the metric that verdicts are on: "accuracy", "rmse", "f1" ..."""
        return self.scoring.name

    @property
    def replicates(self) -> int:
        """The number of fresh replicates of each trial; in a cross-validation, of folds."""
        return len(self.arms[0].scores)

    @property
    def examples(self) -> int:
        """The number of test examples; 0 where the test split is not read."""
        return int(self.arms[0].scores.shape[1]) if self.scoring.reads_test else 0

    @property
    def _counts(self) -> str:
        return self.scoring.counts(self.arms[0])

    @property
    def label(self) -> str:
        """The metric with its unit."""
        return self.scoring.label

    def score(self, arm: Arm) -> Interval:
        """Return a trial's metric with its own interval."""
        return self.scoring.interval(arm)

    def sentence(self, pair: Pair) -> str:
        """Say which of two trials is better, if either, with the interval that shows it."""
        interval, unit = pair.score.interval, self.scoring.unit
        if interval.excludes_zero:
            # The better trial comes first, and the numbers are positive.
            better, worse = self._ranked(pair)
            bounds = sorted((abs(interval.low), abs(interval.high)))
            value, low, high = format_figures(abs(interval.value), *bounds)
            head = f"the chosen {better.label} beats the chosen {worse.label} by {value} {unit}"
        else:
            value, low, high = format_figures(interval.value, interval.low, interval.high)
            names = f"the chosen {pair.first.label} and the chosen {pair.second.label}"
            head = f"no significant difference between {names}: {value} {unit}"
        return f"{head}, {self.confidence} {low} to {high}, {self._counts}"

    def headline(self) -> str:
        """Say in one line which trials beat others, if any do."""
        beaten: dict[str, list[str]] = {}
        for pair in self.pairs:
            if pair.score.interval.excludes_zero:
                better, worse = self._ranked(pair)
                beaten.setdefault(better.study, []).append(worse.study)
        count, metric = len(self.arms), self.label.partition(",")[0]
        if not beaten:
            which = "the two" if count == 2 else f"none of the {count}"
            return f"{which} {'cannot' if count == 2 else 'can'} be told apart in {metric}"
        parts = [
            f"{study} beats {'all others' if len(others) == count - 1 > 1 else ', '.join(others)}"
            for study, others in sorted(beaten.items(), key=lambda item: -len(item[1]))
        ]
        rest = len(self.pairs) - sum(map(len, beaten.values()))
        pairs = "" if not rest else f"; {rest} other pair{'' if rest == 1 else 's'} cannot be told apart"
        return f"{'; '.join(parts)} in {metric}{pairs}"

    @property
    def confidence(self) -> str:
        """The name of the pairs' intervals."""
        return "95% CI" if len(self.pairs) == 1 else "simultaneous 95% CI"

    def details(self, pair: Pair) -> str:
        """Give the effect size, the adjusted p value and the difference in loss of a pair."""
        effect = "none" if pair.score.effect is None else f"{pair.score.effect:.2g}"
        parts = [f"effect size {effect}, p {pair.score.p:.2g}"]
        if pair.loss is not None:
            value, low, high = format_figures(*vars(pair.loss.interval).values(), digits=2)
            parts.append(f"{self.scoring.loss_label} {value}, {self.confidence} {low} to {high}")
        return f"{pair.first.study} minus {pair.second.study}: {'; '.join(parts)}"

    def remarks(self) -> list[str]:
        """Return what a reader should know in addition to the verdicts, a line each."""
        readings = remarks.readings(self.arms) if self.scoring.reads_test else []
        return [*remarks.general(self.scoring, self.arms, self.pairs), *self.notes, *readings]

    def __repr__(self) -> str:
        verdicts = [line for pair in self.pairs for line in (self.sentence(pair), f"    {self.details(pair)}")]
        head = f"{self.headline()}\n\n{self.table()}"
        return head + "\n".join([*verdicts, "", *(f"- {line}" for line in self.remarks())])

    def table(self) -> Sheet:
        """Return a table with a row for each chosen trial."""
        objectives = {arm.objective for arm in self.arms}
        value = next(iter(objectives)) if len(objectives) == 1 else "objective"
        headings = ("study", "chosen trial", value, self.label, self.scoring.loss_label)
        rows = [
            (
                arm.study,
                f"{trial_name(arm.trial, arm.params)} (of {arm.searched})",
                number(arm.value),
                str(self.score(arm)),
                str(self.scoring.loss_interval(arm)),
            )
            for arm in self.arms
        ]
        counts = self._counts.replace(" replicates", " fresh replicates")
        return Sheet(headings, rows, headings[:2], f"{counts}; in brackets: 95% CI of each alone")

    def _repr_html_(self) -> str:
        pairs = [html.detailed(self.sentence(pair), self.details(pair)) for pair in self.pairs]
        picture = html.picture(self.figure(), "every trial and every difference with its interval")
        head = html.lines([self.headline()])
        return html.block(head, html.table(self.table()), picture, *pairs, html.bullets(self.remarks()))

    def figure(self) -> Figure:
        """Draw every trial and every difference with its interval."""
        trials = [Row((arm.study, arm.label.partition(" (")[0]), self.score(arm)) for arm in self.arms]
        pairs = [
            Row(
                (pair.first.study, f"minus {pair.second.study}"), pair.score.interval, pair.score.interval.excludes_zero
            )
            for pair in self.pairs
        ]
        labels = (self.scoring.axis if self.metric == "rmse" else self.label, self._difference_label)
        whole = f"{self._counts}; pairs: filled = significant, open = not significant"
        return draw_intervals(trials, pairs, labels, ("each alone, 95% CI", f"pairs, {self.confidence}", whole))

    def draw(self, file: Path | str) -> None:
        """Save the figure of all intervals, as PNG or SVG: `search.show.figure_file.save`."""
        figure_file.validate_figure_file(Path(file))
        figure_file.save(self.figure(), Path(file), [(arm.study, arm.trial) for arm in self.arms])

    def page(self, file: Path | str) -> None:
        """Save the comparison as an HTML page that opens offline.

        Raises:
            EnvironmentFault: the file cannot be written.
        """
        content = page.Content(
            [arm.study for arm in self.arms],
            self.headline(),
            self.confidence,
            (self.label, self._difference_label),
            self.table(),
            [page.Line(arm.study, self.score(arm), f"{arm.label}: {self.score(arm)}") for arm in self.arms],
            [
                page.Line(f"{pair.first.study} minus {pair.second.study}", pair.score.interval, self.sentence(pair))
                for pair in self.pairs
            ],
            [self.details(pair) for pair in self.pairs],
            self.remarks(),
        )
        write_whole(Path(file), page.render(content).encode())

    def trials(self) -> pd.DataFrame:
        """Return one row per chosen trial: study, trial, its hyperparameters, metric and loss with their intervals."""
        import pandas as pd

        return pd.DataFrame([self._arm(arm) for arm in self.arms])

    def frame(self) -> pd.DataFrame:
        """Return one row per pair: the studies, and the differences in metric and loss with low, high, p and effect."""
        import pandas as pd

        return pd.DataFrame([self._pair(pair) for pair in self.pairs])

    def outcome(self) -> dict[str, Any]:
        """Return all results, as JSON can hold them."""
        return {
            "metric": self.metric,
            "headline": self.headline(),
            "replicates": self.replicates,
            "test_examples": self.examples,
            "trials": [plain(self._arm(arm)) for arm in self.arms],
            "pairs": [
                plain(self._pair(pair) | {"shared": list(pair.shared.parts), "not_shared": pair.shared.unshared})
                for pair in self.pairs
            ],
            "notes": list(self.notes),
        }

    @property
    def _difference_label(self) -> str:
        side = "right" if self.scoring.higher else "left"
        return f"difference, {self.scoring.axis} (the first is better to the {side})"

    def _ranked(self, pair: Pair) -> tuple[Arm, Arm]:
        """Return two trials that differ, the better one first: that with the higher score, or with the lower error."""
        first_is_better = (pair.score.interval.value > 0) == self.scoring.higher
        return (pair.first, pair.second) if first_is_better else (pair.second, pair.first)

    def _arm(self, arm: Arm) -> dict[str, Any]:
        head = {"study": arm.study, "trial": arm.trial, "params": dict(arm.params), "searched": arm.searched}
        figures = _columns(self.metric, self.score(arm)) | _columns("loss", self.scoring.loss_interval(arm))
        return head | {arm.objective: arm.value} | figures | {"test_readings": arm.readings}

    def _pair(self, pair: Pair) -> dict[str, Any]:
        row: dict[str, Any] = {"first": pair.first.study, "second": pair.second.study}
        row |= _columns(self.metric, pair.score.interval) | {"p": pair.score.p, "effect": pair.score.effect}
        row["variance_of_examples"] = pair.score.example_share
        if pair.loss is not None:
            row |= _columns("loss", pair.loss.interval) | {"loss_p": pair.loss.p, "loss_effect": pair.loss.effect}
        better = self._ranked(pair)[0].study if pair.score.interval.excludes_zero else None
        return row | {"better": better, "sentence": self.sentence(pair)}


def _columns(name: str, interval: Interval) -> dict[str, float]:
    return {name: interval.value, f"{name}_low": interval.low, f"{name}_high": interval.high}
