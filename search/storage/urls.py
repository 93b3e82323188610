"""The URL of a database, in its parts."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlalchemy import URL


def parsed(url: str) -> URL | None:
    """Return the parts of a URL; None if it names no database that SQLAlchemy knows."""
    from sqlalchemy import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        parts = make_url(url)
        parts.get_dialect()
        return parts
    # A port that is not a number raises a plain ValueError, which may quote a piece of the password.
    except (ArgumentError, ValueError):
        return None
