"""What a comparison of trials came to: one table of the trials, one sentence for each pair, the same as data.

A verdict is read off the interval that is printed with it: one trial beats the other exactly if the interval leaves out
0. Of several pairs all intervals hold at once with 95% (Bonferroni over all pairs: who is best is seen in the very rows
that are tested, so that "all against the best" would be no smaller a family). Verdicts are of accuracy or RMSE; the
loss is given beside them, a family of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

from search.compare.pairs import Arm, Interval, Metric, Pair, difference, figures, interval, of_answers, of_correct
from search.show import html
from search.show.sheet import Sheet
from search.show.text import number, plain, trial_name

if TYPE_CHECKING:
    import pandas as pd

_MOSTLY = 0.5  # the share of a variance that is worth a word
_LABELS: Mapping[Metric, str] = {"accuracy": "test accuracy, %", "rmse": "test RMSE"}


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
                of_answers(a.scores, b.scores, len(couples)) if metric == "accuracy"
                else difference(a.cells(metric) - b.cells(metric), len(couples)),
                difference(a.losses - b.losses, len(couples)) if same_loss else None,
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
        return of_correct(arm.scores) if self.metric == "accuracy" else interval(arm.cells(self.metric))

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
        return "95% CI" if len(self.pairs) == 1 else "simultaneous 95% CI"

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
        found.append("replicates and test examples both count as a sample; effect size: difference / SD of the paired "
                     "differences over replicates")  # fmt: skip
        if len(self.pairs) > 1:
            found.append(
                f"intervals and p are adjusted for {len(self.pairs)} pairs (Bonferroni), each metric by itself"
            )
        if self.metric == "rmse":
            found.append("RMSE is in the units of the data; its intervals are by the delta method")
        found += [*self._unseen(), *self._dominated(), *self.notes]
        for arm in self.arms:
            times = "once" if arm.readings == 1 else f"{arm.readings} times"
            found.append(f"the test split of {arm.study} has now been read {times}")
        return found

    def _unseen(self) -> list[str]:
        """Where nothing varies, so that an interval is that of what so many examples do not show."""
        if self.metric != "accuracy":
            return []
        rule = "the interval is Clopper and Pearson's for none seen"
        found = []
        for arm in self.arms:
            if arm.scores.all() or not arm.scores.any():
                told = "no error" if arm.scores.all() else "none right"
                found.append(f"{told} of {arm.study} in {self.examples:,} test examples: {rule}")
        for pair in self.pairs:
            if (pair.first.scores == pair.second.scores).all() and not found:
                told = f"{pair.first.study} and {pair.second.study} are right on the same"
                found.append(f"{told} of {self.examples:,} test examples: {rule}")
        return found

    def _dominated(self) -> list[str]:
        """Where more replicates would be in vain."""
        told = [
            f"{pair.score.of_examples:.0%}"
            + (f" ({pair.first.study} and {pair.second.study})" if self.pairs[1:] else "")
            for pair in self.pairs
            if pair.score.of_examples > _MOSTLY
        ]
        if not told:
            return []
        return [f"of the variance of the difference {', '.join(told)} is due to which rows are tested: more replicates "
                "would narrow its interval little, more test rows would"]  # fmt: skip

    def __repr__(self) -> str:
        verdicts = [line for pair in self.pairs for line in (self.sentence(pair), f"    {self.details(pair)}")]
        return f"{self.table()}" + "\n".join([*verdicts, "", *(f"- {line}" for line in self.remarks())])

    def table(self) -> Sheet:
        """A row for each chosen trial."""
        counts = f"{self.replicates} fresh replicates, {self.examples:,} test examples"
        headings = ("study", "chosen trial", "val_loss", self.label, "test loss")
        rows = [
            (arm.study, f"{trial_name(arm.trial, arm.params)} (of {arm.searched})", number(arm.value),
             str(self.score(arm)), str(interval(arm.losses)))
            for arm in self.arms
        ]  # fmt: skip
        return Sheet(headings, rows, headings[:2], f"{counts}; in brackets: 95% CI of each alone")

    def _repr_html_(self) -> str:
        from search.compare import figure

        pairs = [html.detailed(self.sentence(pair), self.details(pair)) for pair in self.pairs]
        picture = html.picture(figure.figure(self), "every trial and every difference with its interval")
        return html.block(html.table(self.table()), picture, *pairs, html.bullets(self.remarks()))

    def draw(self, file: Path | str) -> None:
        """Save the figure of all intervals, as PNG or SVG."""
        from search.compare import figure
        from search.show import figure_file

        figure_file.check(Path(file))
        figure.draw(self, Path(file))

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
        head = {"study": arm.study, "trial": arm.trial, "params": dict(arm.params), "searched": arm.searched}
        figures = _columns(self.metric, self.score(arm)) | _columns("loss", interval(arm.losses))
        return head | {"val_loss": arm.value} | figures | {"test_readings": arm.readings}

    def _pair(self, pair: Pair) -> dict[str, Any]:
        row: dict[str, Any] = {"first": pair.first.study, "second": pair.second.study}
        row |= _columns(self.metric, pair.score.interval) | {"p": pair.score.p, "effect": pair.score.effect}
        row["variance_of_examples"] = pair.score.of_examples
        if pair.loss is not None:
            row |= _columns("loss", pair.loss.interval) | {"loss_p": pair.loss.p, "loss_effect": pair.loss.effect}
        low, high = pair.score.interval.low, pair.score.interval.high
        winner = (pair.first if (low > 0) == (self.metric == "accuracy") else pair.second).study
        return row | {"better": winner if low > 0 or high < 0 else None, "sentence": self.sentence(pair)}


def _columns(name: str, found: Interval) -> dict[str, float]:
    return {name: found.value, f"{name}_low": found.low, f"{name}_high": found.high}
