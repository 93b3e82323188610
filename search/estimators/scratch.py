"""The storage of a fit that nobody keeps: a database in a temporary folder, and the locks of its study."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from search.choose.claims import remove_locks
from search.storage import database


@contextmanager
def storage(url: str | None, study: str) -> Iterator[str]:
    """Return the URL of a storage; without one, that of a new database, which is removed at the end.

    Args:
        url: the URL of a storage to keep, or None.
        study: the name of the study that uses it.
    """
    if url is not None:
        yield url
        return
    with tempfile.TemporaryDirectory(prefix="regsearch-") as folder:
        path = Path(folder, "optuna.db")
        path.write_bytes(_empty())
        yield _url(path)
        remove_locks(_url(path), study)


@cache
def _empty() -> bytes:
    """Return an empty database: to make its tables takes longer than a short fit, to copy it next to nothing."""
    with tempfile.TemporaryDirectory(prefix="regsearch-") as folder:
        path = Path(folder, "optuna.db")
        database.connect(_url(path)).engine.dispose()
        return path.read_bytes()


def _url(path: Path) -> str:
    return f"sqlite:///{path}"
