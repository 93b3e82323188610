"""The page: one HTML file that holds all it shows, without scripts; every word of the study's is escaped."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

from search.report.record import Record
from search.report.statements import Statement

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; color: #1a1a1a; background: #fff; max-width: 62rem; margin: 2rem auto;
       padding: 0 1rem; overflow-wrap: break-word; }
h1 { line-height: 1.2; } h2 { margin-top: 2.5rem; border-bottom: 1px solid #ccc; }
nav ul { columns: 3; padding-left: 1.2rem; } @media (max-width: 40rem) { nav ul { columns: 1; } }
table { border-collapse: collapse; } .wide { overflow-x: auto; }
th, td { text-align: left; vertical-align: top; padding: .2rem .8rem .2rem 0; border-bottom: 1px solid #e4e4e4; }
th { white-space: nowrap; } td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
figure { margin: 1rem 0; } figure img { max-width: 100%; height: auto; }
figcaption, .left { color: #444; } .warning { border-left: .3rem solid #D55E00; padding-left: .7rem; }
.said { list-style: none; padding-left: 0; } .said li { margin: .5rem 0; } code { background: #f3f3f3; }
@media print { nav { display: none; } figure { break-inside: avoid; } }
"""


@dataclass(frozen=True)
class Section:
    """One figure of the page: its anchor, heading, caption, and its picture as PNG, if there is one."""

    name: str
    title: str
    caption: str
    png: bytes | None


def render(
    record: Record, table: tuple[Sequence[str], Sequence[Sequence[str]]], said: Sequence[Statement],
    sections: Sequence[Section],
) -> str:  # fmt: skip
    """The whole document."""
    shown = [one for one in sections if one.png is not None]
    left = [one for one in sections if one.png is None]
    title = escape(f"{record.study}: report")
    parts = [
        "<!DOCTYPE html>",
        f'<html lang="en"><head><meta charset="utf-8"><title>{title}</title>',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<style>{_STYLE}</style></head><body>",
        f"<h1>{escape(record.study)}</h1>",
        _facts(record.facts),
        '<h2 id="said">What the record says</h2>',
        _said(said),
        f'<h2 id="trials">The best trials</h2>{_table(*table)}' if table[1] else "",
        _contents(shown) if shown else "",
        *(_figure(one) for one in shown),
        '<h2 id="left-out">Left out</h2>' + _left(left) if left else "",
        "</body></html>",
    ]
    return "\n".join(part for part in parts if part) + "\n"


def _facts(facts: Mapping[str, str]) -> str:
    rows = "".join(f"<tr><th>{escape(name)}</th><td>{escape(value)}</td></tr>" for name, value in facts.items())
    return f"<table>{rows}</table>"


def _said(said: Sequence[Statement]) -> str:
    items = (
        f"<li{' class=warning' if one.warning else ''}><strong>{escape(one.about.capitalize())}.</strong>"
        f" {escape(one.text)}</li>"
        for one in said
    )
    return f'<ul class="said">{"".join(items)}</ul>'


def _table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    def cells(tag: str, row: Sequence[str]) -> str:
        return "<tr>" + "".join(f'<{tag} class="n">{escape(cell)}</{tag}>' for cell in row) + "</tr>"

    body = "".join(cells("td", row) for row in rows)
    return f'<div class="wide"><table><thead>{cells("th", headings)}</thead><tbody>{body}</tbody></table></div>'


def _contents(sections: Sequence[Section]) -> str:
    items = "".join(f'<li><a href="#{one.name}">{escape(one.title)}</a></li>' for one in sections)
    return f"<nav><ul>{items}</ul></nav>"


def _figure(section: Section) -> str:
    assert section.png is not None
    data = base64.b64encode(section.png).decode("ascii")
    return (
        f'<h2 id="{section.name}">{escape(section.title)}</h2><figure>'
        f'<img alt="{escape(section.title)}" src="data:image/png;base64,{data}">'
        f"<figcaption>{escape(section.caption)}</figcaption></figure>"
    )


def _left(sections: Sequence[Section]) -> str:
    items = "".join(f"<li>{escape(one.title)}: {escape(one.caption)}</li>" for one in sections)
    return f'<ul class="left">{items}</ul>'
