"""A table as data: drawn with lines for a terminal, and as HTML for a notebook (`search.show.html`)."""

from __future__ import annotations

import io
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.markup import escape
from rich.table import Table


@dataclass(frozen=True)
class Sheet:
    """Rows of text below headings.

    Attributes:
        left: the headings of columns of words; those of the others, numbers, are aligned right.
        title: above it; may be empty.
        whole: whether cells of numbers stay on one line, however wide.
    """

    headings: Sequence[str]
    rows: Sequence[Sequence[str]]
    left: Collection[str] = ()
    title: str = ""
    whole: bool = False

    def __str__(self) -> str:
        table = Table(title=escape(self.title) or None, title_justify="left")
        for heading in self.headings:
            words = heading in self.left
            table.add_column(
                escape(heading), justify="left" if words else "right", overflow="fold" if self.whole else "ellipsis",
                no_wrap=self.whole and not words,
            )  # fmt: skip
        for row in self.rows:
            table.add_row(*map(escape, row))
        text = io.StringIO()
        # Plain text, also in a notebook, whose kernel asks for colours and has rich print to the page.
        Console(file=text, width=120, force_jupyter=False, force_terminal=False).print(table)
        return text.getvalue()
