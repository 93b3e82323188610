"""What a notebook shows of an object, read back from its HTML."""

from __future__ import annotations

import base64
import io
from html.parser import HTMLParser
from typing import Any

from PIL import Image

_EMPTY = {"img", "br"}


class Page(HTMLParser):
    """The text of each cell, paragraph and item; raises where tags are not balanced."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.open: list[str] = []
        self.rows: list[list[str]] = []
        self.words: list[str] = []
        self.sources: list[str] = []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag not in _EMPTY:
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
        self.sources += [value or "" for name, value in attributes if name in ("src", "href")]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1] in ("td", "th"):
            self.rows[-1][-1] += data
        else:
            self.words.append(data)

    @property
    def facts(self) -> dict[str, str]:
        """Rows of two cells."""
        return {row[0]: row[1] for row in self.rows if len(row) == 2}


def page(thing: Any) -> Page:
    """What a notebook shows of it: no scripts, no styles of its own, nothing from elsewhere."""
    shown = Page(thing._repr_html_())
    assert not {"script", "style", "link", "iframe"} & set(shown.tags)
    assert all(one.startswith("data:image/png;base64,") or one.endswith("report.html") for one in shown.sources)
    return shown


def picture(shown: Page) -> Image.Image:
    """The one picture that is shown."""
    (source,) = (one for one in shown.sources if one.startswith("data:"))
    image = Image.open(io.BytesIO(base64.b64decode(source.partition(",")[2], validate=True)))
    image.load()
    return image
