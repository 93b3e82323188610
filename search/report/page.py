"""The page of a report: one HTML file that holds all it shows, without scripts; `templates/page.html` is its markup."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from search.report.record import Record
from search.report.statements import Statement
from search.show import html, template
from search.show.sheet import Sheet


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


def render(record: Record, best: Sheet, statements: Sequence[Statement], sections: Sequence[Section]) -> str:
    """Return the whole document.

    Args:
        best: the table of the best trials.
        statements: the sentences that it begins with.
        sections: its figures, also those that are left out.
    """
    return template.load(__package__, "page.html").render(
        record=record,
        best=best,
        statements=statements,
        figures=[section for section in sections if section.png is not None],
        left_out=[section for section in sections if section.png is None],
        png_source=html.png_source,
    )
