"""What pages that open offline hold in themselves: their style, D3, Observable Plot, and data as JSON.

`assets/vendor/` has the two libraries as they are published, with their licences (ISC).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from markupsafe import Markup

_ASSETS = Path(__file__).parent / "assets"
_LIBRARIES = ("d3.min.js", "plot.umd.min.js")


def style() -> Markup:
    """Return the style sheet, with colours for light and dark."""
    return _unescaped(_text(_ASSETS / "page.css"))


def libraries() -> list[Markup]:
    """Return the scripts of D3 and Observable Plot, which other scripts need."""
    return [_unescaped(_text(_ASSETS / "vendor" / name)) for name in _LIBRARIES]


def scripts(folder: Path, names: Sequence[str]) -> Markup:
    """Return a page's own scripts, one after the other."""
    return _unescaped("\n".join(_text(folder / name) for name in names))


def data(values: object) -> Markup:
    """Return values as JSON for a script element, which no text in it can end early."""
    return _unescaped(json.dumps(values, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c"))


@cache
def _text(file: Path) -> str:
    return file.read_text(encoding="utf-8")


def _unescaped(text: str) -> Markup:
    """Return text that a template does not escape: the content of script and style elements is not HTML."""
    from markupsafe import Markup

    return Markup(text)
