"""Find out whether a server answers at a tracking URI, before mlflow is imported, and say why one does not answer."""

from __future__ import annotations

import socket
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from search.storage.database import cause, shown

_PORTS = {"http": 80, "https": 443}


class StorageAway(RuntimeError):
    """The storage of the study does not answer; the message is one line, with the reason."""


def unreachable(uri: str, seconds: float = 5.0) -> str | None:
    """Return why the server of a tracking URI cannot be reached; None if it can be, or if this cannot be known.

    A file has no server, and behind a proxy a direct connection proves nothing.
    """
    try:
        parts = urlsplit(uri)
        host, port = parts.hostname, parts.port or _PORTS.get(parts.scheme)
    except ValueError:  # MLflow will refuse it
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
    """Return an error's reason in one line of at most 200 characters: the operating system's words, if it has some.

    Libraries wrap these words in what they tried and how often; SQL statements and stacks come after the first line.
    """
    message, inner = "", error
    seen: set[int] = set()
    while id(inner) not in seen:
        seen.add(id(inner))
        if isinstance(inner, OSError) and inner.strerror:
            message = inner.strerror
        inner = inner.__cause__ or inner.__context__ or inner
    if message:
        return message
    text = str(error).strip()
    line = text.splitlines()[0] if text else ""
    line = line if len(line) <= 160 else f"{line[:157]}..."
    return f"{type(error).__name__}: {line}" if line else type(error).__name__


@contextmanager
def answering(storage: str) -> Iterator[None]:
    """Turn any error of a storage (a URL), while a study is read, into a `StorageAway`."""
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
