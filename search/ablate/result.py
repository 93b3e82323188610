"""The result of an ablation as a table, sentences, a figure, a data frame and JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from search.record.ablation import Ablated, Effect, Interaction, Measured
from search.report.ablation import draw
from search.show import figure_file, html
from search.show.sheet import Sheet
from search.show.text import assignments, format_figures, number

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Ablation:
    """What each technique does to a trial.

    Attributes:
        result: all numbers and sentences, as the study keeps them.
    """

    result: Ablated

    @property
    def effects(self) -> Sequence[Effect]:
        """The effect of each technique, the most helpful first."""
        return self.result.effects

    @property
    def interactions(self) -> Sequence[Interaction]:
        """The interactions of the strongest techniques."""
        return self.result.interactions

    def outcome(self) -> dict[str, Any]:
        """Return all results, as JSON can hold them."""
        return self.result.encode()

    def __repr__(self) -> str:
        sentences = [*self._sentences(), "", *(f"- {note}" for note in self.result.notes)]
        return f"{self.result.headline}\n\n{self.table()}" + "\n".join(sentences)

    def _repr_html_(self) -> str:
        figure = self.figure()
        picture = "" if figure is None else html.picture(figure, "what switching each technique changes")
        lines = html.lines(self._sentences())
        head = html.lines([self.result.headline])
        return html.block(head, html.table(self.table()), picture, lines, html.bullets(self.result.notes))

    def _sentences(self) -> list[str]:
        return [*(one.sentence for one in self.effects), *(one.sentence for one in self.interactions)]

    def table(self) -> Sheet:
        """Return a table with a row for the trial, and one for each variant."""
        headings = ("variant", "where it is on", self.result.label, "difference", "95% interval", "p", "adjusted p")
        own = (f"trial {self.result.trial}", "", number(self.result.objective), "", "", "", "")
        rows = [
            (one.variant, assignments(one.at), number(one.objective), *_cells(one.difference)) for one in self.effects
        ]
        rows += [(one.variant, "", number(one.objective), *_cells(one.both)) for one in self.interactions]
        return Sheet(headings, [own, *rows], headings[:2], f"{self.result.study}: {self.result.counts}")

    def frame(self) -> pd.DataFrame:
        """Return one row per technique: variant, objective, difference, low, high, p, adjusted_p, verdict, sentence."""
        import pandas as pd

        return pd.DataFrame(
            [
                {
                    "technique": one.technique,
                    "variant": one.variant,
                    "objective": one.objective,
                    **_columns(one.difference),
                    "verdict": one.verdict,
                    "sentence": one.sentence,
                }
                for one in self.effects
            ]
        )

    def figure(self) -> Figure | None:
        """Draw each effect with its interval, and the interactions; None if every variant diverges."""
        return draw(self.result).figure

    def draw(self, file: Path | str) -> None:
        """Save the figure, as PNG or SVG: `search.show.figure_file.save`.

        Raises:
            RequestError: the file is neither, or its folder does not exist.
            EnvironmentFault: the file cannot be written.
        """
        figure_file.validate_figure_file(Path(file))
        if (figure := self.figure()) is not None:
            figure_file.save(figure, Path(file), [(self.result.study, self.result.trial)])


def _cells(found: Measured | None) -> tuple[str, ...]:
    if found is None:
        return "diverges", "", "", ""
    value, low, high = format_figures(found.value, found.low, found.high, digits=2)
    return value, f"{low} to {high}", f"{found.p:.2g}", f"{found.adjusted:.2g}"


def _columns(found: Measured | None) -> dict[str, float | None]:
    names = ("difference", "low", "high", "p", "adjusted_p")
    values = (None,) * 5 if found is None else (found.value, found.low, found.high, found.p, found.adjusted)
    return dict(zip(names, values, strict=True))
