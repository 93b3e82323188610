"""What a command shows on a terminal while it imports libraries and opens its studies, which takes seconds."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from search.errors import clip

_MOST = 60  # characters: a line that wraps could not be removed
_REMOVE = "\r\x1b[2K"


@contextmanager
def opening(what: str) -> Iterator[None]:
    """Show on stderr, if it is a terminal, that something is being opened; the line disappears with the block."""
    shown = sys.stderr.isatty()
    if shown:
        print(f"opening {clip(what, _MOST)} ...", end="", file=sys.stderr, flush=True)
    try:
        yield
    finally:
        if shown:
            print(_REMOVE, end="", file=sys.stderr, flush=True)
