"""Pieces of HTML for notebooks and pages, without scripts, linked files or colours of their own.

The notebook's theme, light or dark, gives text and lines their colours. A figure has a white background.

Each function returns `markupsafe.Markup` and escapes every text that is not, so that pieces can be put into each other.
Their markup is in `templates/pieces.html`.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from search.show import figure_file, template

if TYPE_CHECKING:
    from markupsafe import Markup
    from matplotlib.figure import Figure

    from search.show.sheet import Sheet

_DPI = 80  # a figure of 12 inches is then about as wide as a notebook's column


def _piece(name: str, *values: object) -> Markup:
    """Call a macro of `templates/pieces.html`."""
    markup: Markup = getattr(template.load(__package__, "pieces.html").module, name)(*values)
    return markup


def facts(name: str, facts: Mapping[str, str]) -> Markup:
    """Return a name, and below it a table of the facts that are not empty."""
    return _piece("facts", name, facts)


def table(sheet: Sheet) -> Markup:
    """Return a table with its title."""
    return _piece("table", sheet)


def lines(lines: Iterable[str]) -> Markup:
    """Return a paragraph for each line that is not empty."""
    return _piece("lines", lines)


def detailed(line: str, detail: str) -> Markup:
    """Return a paragraph of a line, and below it its detail in small print."""
    return _piece("detailed", line, detail)


def bullets(lines: Iterable[str]) -> Markup:
    """Return a list with an item for each line, or nothing if there are none."""
    return _piece("bullets", list(lines))


def code(lines: Iterable[str]) -> Markup:
    """Return lines of code, their white space kept."""
    return _piece("code", lines)


def file_link(path: Path, remark: str) -> Markup:
    """Return a link to a file, followed by a remark."""
    return _piece("file_link", path.as_posix(), remark)


def png_source(png: bytes) -> str:
    """Return the data URI of a picture, the ``src`` of an image that needs no other file."""
    return f"data:image/png;base64,{base64.b64encode(png).decode('ascii')}"


def picture(figure: Figure, words: str) -> Markup:
    """Return a figure as a picture; `words` describe it to readers who cannot see it."""
    return _piece("picture", png_source(figure_file.drawn(figure, "png", dpi=_DPI)), words)


def block(*parts: str) -> Markup:
    """Return all that one object shows, from its pieces in order."""
    return _piece("block", parts)
