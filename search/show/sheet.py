"""A table as data: drawn with lines for a terminal, and as HTML for a notebook (`search.show.html`)."""

from __future__ import annotations

import io
import shutil
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from rich.console import Console
from rich.markup import escape
from rich.table import Table

_NARROW = 80  # columns of text without a terminal
_WORDS = 16  # columns of text that a column of words is given at least, if it needs so many
_LINES = 3  # columns of text that a column's lines take


@dataclass(frozen=True)
class Sheet:
    """A table of text.

    Printed, it is at most as wide as the terminal, or 80 columns without a terminal. Words may be broken into lines,
    but numbers are not: columns that do not fit follow in a second table, which repeats the first column.

    Attributes:
        left: the headings of the columns of words, which are aligned left. Other columns hold numbers, aligned right.
        title: the title above the table, which may be empty.
    """

    headings: Sequence[str]
    rows: Sequence[Sequence[str]]
    left: Collection[str] = ()
    title: str = ""

    def __str__(self) -> str:
        width = shutil.get_terminal_size((_NARROW, 24)).columns
        widest = [max(map(cell_len, cells)) for cells in self._columns()]
        roomy = sum(widest) + _LINES * len(widest) < width
        widths = widest if roomy else [self._narrowest(column) for column in range(len(self.headings))]
        text = io.StringIO()
        # Plain text, also in a notebook, whose kernel asks for colours and has rich print to the page.
        console = Console(file=text, width=width, force_jupyter=False, force_terminal=False)
        for number, columns in enumerate(_blocks(widths, width)):
            table = Table(title=None if number else escape(self.title) or None, title_justify="left")
            for column in columns:
                words = self.headings[column] in self.left
                table.add_column(
                    escape(self.headings[column]),
                    justify="left" if words else "right",
                    overflow="fold",
                    width=None if words else widths[column],
                )
            for row in self.rows:
                table.add_row(*(escape(row[column]) for column in columns))
            console.print(table)
        return "".join(f"{line.rstrip()}\n" for line in text.getvalue().splitlines())

    def _columns(self) -> Iterator[tuple[str, ...]]:
        """Yield each column: its heading and its cells."""
        for column, heading in enumerate(self.headings):
            yield heading, *(row[column] for row in self.rows)

    def _narrowest(self, column: int) -> int:
        """Return how narrow a column can be: numbers stay whole, and so do the words of the heading."""
        heading = self.headings[column]
        title = max(map(cell_len, heading.split() or [""]))
        widest = max((cell_len(row[column]) for row in self.rows), default=0)
        return max(title, min(widest, _WORDS) if heading in self.left else widest)


def _blocks(widths: Sequence[int], width: int) -> Iterator[list[int]]:
    """Yield the columns of each table, the first column in all of them."""
    block, used = [0], widths[0] + _LINES + 1
    for column in range(1, len(widths)):
        if len(block) > 1 and used + widths[column] + _LINES > width:
            yield block
            block, used = [0], widths[0] + _LINES + 1
        block.append(column)
        used += widths[column] + _LINES
    yield block
