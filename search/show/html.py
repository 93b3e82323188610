"""Pieces of HTML for notebooks and pages, without scripts, files or colours of their own.

Whoever shows them has a theme, light or dark: text and lines take its colours. A figure is on white.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Mapping
from html import escape
from typing import TYPE_CHECKING

from search.show.sheet import Sheet

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_LEFT, _RIGHT = "text-align:left", "text-align:right;white-space:nowrap"
_DPI = 80  # 12 inches are then about as wide as a notebook's column


def facts(name: str, facts: Mapping[str, str]) -> str:
    """A name, and below it a table of facts about it; those that are empty are left out."""
    rows = "".join(f'<tr><th style="{_LEFT}">{escape(key)}</th><td style="{_LEFT}">{escape(value)}</td></tr>'
                   for key, value in facts.items() if value)  # fmt: skip
    return f"<p><strong>{escape(name)}</strong></p><table>{rows}</table>"


def table(sheet: Sheet) -> str:
    """A table with its title."""
    styles = [_LEFT if heading in sheet.left else _RIGHT for heading in sheet.headings]

    def row(tag: str, cells: Iterable[str]) -> str:
        made = (f'<{tag} style="{style}">{escape(cell)}</{tag}>' for cell, style in zip(cells, styles, strict=True))
        return f"<tr>{''.join(made)}</tr>"

    caption = f'<caption style="{_LEFT}">{escape(sheet.title)}</caption>' if sheet.title else ""
    body = "".join(row("td", cells) for cells in sheet.rows)
    return f"<table>{caption}<thead>{row('th', sheet.headings)}</thead><tbody>{body}</tbody></table>"


def lines(lines: Iterable[str]) -> str:
    """A paragraph for each line that is not empty."""
    return "".join(f"<p>{escape(line)}</p>" for line in lines if line)


def bullets(lines: Iterable[str]) -> str:
    """A list of lines; nothing where there are none."""
    items = "".join(f"<li>{escape(line)}</li>" for line in lines)
    return f"<ul>{items}</ul>" if items else ""


def picture(figure: Figure, words: str) -> str:
    """A figure as a picture; `words` describe it to whoever cannot see it."""
    data = io.BytesIO()
    figure.savefig(data, format="png", dpi=_DPI, facecolor="white")
    encoded = base64.b64encode(data.getvalue()).decode("ascii")
    return f'<img alt="{escape(words)}" style="max-width:100%" src="data:image/png;base64,{encoded}">'


def block(*parts: str) -> str:
    """The whole of what one object shows."""
    return f"<div>{''.join(parts)}</div>"
