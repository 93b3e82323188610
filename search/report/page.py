"""The page of a report: one HTML file that holds all it shows, opens offline, and draws its figures by itself.

Figures of trials are drawn in the browser from the page's own data (`page_data`), so that they answer to the pointer:
the card of a trial beside it, a trial marked in every figure by a click, ranges chosen by dragging along the axes of
parallel coordinates. The rest are pictures. `templates/page.html` is the markup, `assets/` has the scripts, which draw
by D3 and Observable Plot (`search.show.page_files`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from search.report import page_data, ranked
from search.report.answer import answer
from search.report.curves import MEASURED
from search.report.networks import HeldOut
from search.report.record import Record
from search.report.statement import Statement
from search.show import html, page_files, template

_SCRIPTS = ("data.js", "page.js", "figures.js", "parallel.js", "table.js")
DRAWN_BY_THE_PAGE: Mapping[str, str | None] = {
    "front": None,
    "history": None,
    "slices": None,
    "settings": None,
    "curves": "The first panel has the curve of every trial. The second one shows the trial that is marked, by default"
    f" the best; the dashed line is its best epoch. {MEASURED}",
    "path": None,
    "parallel": "Each line is a complete trial; stronger lines are better, and the orange one is the best. Drag along"
    " an axis to choose a range, in all figures and in the table.",
    "importance": None,
    "pruning": None,
    "ranked": None,
}
"""The figures that the page draws, with the caption that takes the place of the picture's, if one does."""


@dataclass(frozen=True)
class Section:
    """A figure of the page.

    Attributes:
        name: the name of its files, and its anchor in the page.
        title: its heading.
        caption: what it shows, or why it is left out.
        png: the picture; None if the figure is left out.
    """

    name: str
    title: str
    caption: str
    png: bytes | None

    @property
    def drawn(self) -> bool:
        """Whether the page draws it from its data."""
        return self.name in DRAWN_BY_THE_PAGE

    @property
    def said(self) -> str:
        """The caption in the page."""
        return DRAWN_BY_THE_PAGE.get(self.name) or self.caption


def render(
    record: Record, statements: Sequence[Statement], sections: Sequence[Section], held_out: HeldOut | None = None
) -> str:
    """Return the whole document.

    Args:
        record: the record of the study; without two complete trials, the page has statements only.
        statements: the sentences about it.
        sections: its figures, also those that are left out.
        held_out: the results on the test split, if they are known.
    """
    enough = len(record.complete) >= 2
    return template.load(__package__, "page.html").render(
        record=record,
        answer=answer(record, held_out) if enough else None,
        statements=statements,
        figures=[section for section in sections if section.png is not None],
        left_out=[section for section in sections if section.png is None],
        by_class=None if held_out is None else ranked.by_class(held_out),
        style=page_files.style(),
        scripts=page_files.libraries() if enough else [],
        own_script=page_files.scripts(Path(__file__).parent / "assets", _SCRIPTS),
        data=page_files.data(page_data.data(record, held_out)) if enough else "",
        png_source=html.png_source,
    )
