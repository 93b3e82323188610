"""Whether anybody listens where a tracking URI points: found out by a bare connection, before mlflow is imported.

And what is told of a server, MLflow's or the study's, that does not answer.
"""

from __future__ import annotations

import socket
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from search.storage.database import cause, shown

_PORTS = {"http": 80, "https": 443}


class StorageAway(RuntimeError):
    """The study's storage does not answer: one line which says that, and why."""


def unreachable(uri: str, seconds: float = 5.0) -> str | None:
    """Why the server of a tracking URI cannot be connected to; None where it can, or where there is no saying.

    A file has no server; through a proxy a connection of one's own says nothing.
    """
    try:
        parts = urlsplit(uri)
        host, port = parts.hostname, parts.port or _PORTS.get(parts.scheme)
    except ValueError:  # MLflow's to refuse
        return None
    if parts.scheme not in _PORTS or not host:
        return None
    if parts.scheme in urllib.request.getproxies() and not urllib.request.proxy_bypass(host):
        return None
    try:
        socket.create_connection((host, port), timeout=seconds).close()
    except TimeoutError:
        return f"no answer in {seconds:g} s"
    except (OSError, UnicodeError) as error:
        return reason(error)
    return None


def reason(error: BaseException) -> str:
    """What an error comes to, in at most 200 characters of one line: the system's own word for it, if it has one.

    Around that word libraries wrap what they tried and how often; SQL statements and stacks come after the first line.
    """
    told, inner = "", error
    seen: set[int] = set()
    while id(inner) not in seen:
        seen.add(id(inner))
        if isinstance(inner, OSError) and inner.strerror:
            told = inner.strerror
        inner = inner.__cause__ or inner.__context__ or inner
    if told:
        return told
    text = str(error).strip()
    line = text.splitlines()[0] if text else ""
    line = line if len(line) <= 160 else f"{line[:157]}..."
    return f"{type(error).__name__}: {line}" if line else type(error).__name__


@contextmanager
def answering(storage: str) -> Iterator[None]:
    """Around what is read of a study: whatever its storage (a URL) fails with becomes a `StorageAway`."""
    try:
        yield
    except Exception as error:
        from search.storage.away import FAULTS

        if not isinstance(error, FAULTS):
            raise
        raise StorageAway(f"storage {shown(storage)} is not answering ({_deepest(error)})") from error


def _deepest(error: Exception) -> str:
    found = cause(error)
    return reason(getattr(found, "orig", None) or found)
