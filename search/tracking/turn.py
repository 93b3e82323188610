"""Take turns at writing a study to a tracking store: one process at a time, on this machine and on all others.

On one machine, the turn is a file lock for each tracking store. If the study is in PostgreSQL, its commands may run on
many machines, and two locks of that server (`search.storage.locks`), for each store and study, pass the turn on:

    first    is held by the writer that will read the whole study once more, or waits to do so; a writer whose command
             has ended gives it up before it reads for the last time
    writing  is held for as long as MLflow is written to

So a writer that finds `first` taken when its own command ends may end too: another writer will bring all of its trials
to MLflow. The holder of `first` waits for `writing` only until the other writer has finished. Each lock is freed when
its process ends, however it ends. This module imports neither mlflow nor, for a single machine, SQLAlchemy.
"""

from __future__ import annotations

import hashlib
import math
import os
import socket
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from filelock import FileLock, Timeout

from search.tracking.live import AGAIN, Lines, Live
from search.tracking.reach import StorageAway, answering
from search.tracking.said import say

if TYPE_CHECKING:
    from search.storage.locks import AdvisoryLocks

_FIRST, _WRITING = "first", "writing"
_PAUSE = 0.5  # seconds between two tries
_PORTS = {"http": 80, "https": 443, "postgresql": 5432, "mysql": 3306, "mssql": 1433}


@dataclass(frozen=True)
class _Hindrance:
    """The reason why it is not this writer's turn.

    Attributes:
        while_training, at_end: what to print about it, if anything.
        patience: the seconds after the end of the lines within which it may go away.
        elsewhere: see `Turn.elsewhere`.
    """

    while_training: str = ""
    at_end: str = ""
    patience: float = math.inf
    elsewhere: bool = False


class Turn:
    """A context that holds the turn from `wait` on, and gives it up at its end.

    Args:
        uri: the URI of MLflow.
        storage: the URL of the study's storage.
        study: the name of the study.
        patience: the seconds to wait, after the lines have ended, for another study's writer or a storage that is away.

    Attributes:
        elsewhere: whether `wait` failed because another writer brings this one's trials to MLflow.
    """

    def __init__(self, uri: str, storage: str, study: str, patience: float) -> None:
        self._storage = storage
        self._file = _file_lock(uri)
        self._locks: AdvisoryLocks | None = None
        # A store in a file belongs to one machine, and only PostgreSQL holds a study for several machines. The URL's
        # beginning tells, as `search.storage.database.backend` would import SQLAlchemy.
        if not uri.startswith("sqlite:") and storage.startswith(("postgresql:", "postgresql+")):
            from search.storage.locks import AdvisoryLocks

            self._locks = AdvisoryLocks(storage, f"mlflow\x1f{resolved(uri)}\x1f{study}")
        self._last = False
        self.elsewhere = False
        self._patience = patience
        busy = f"another search is writing to MLflow at {uri}"
        self._store_is_taken = _Hindrance(
            f"{busy}: the runs of this one will appear when it is done", f"it is still writing: {AGAIN}", patience
        )
        kept = f"the MLflow writer of another command keeps MLflow at {uri} up to date with this command's trials too"
        self._study_is_taken = _Hindrance(f"{kept}; ours takes over when that one ends", kept, 0, elsewhere=True)
        self._nearly_done = _Hindrance()

    def __enter__(self) -> Turn:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def wait(self, lines: Lines, live: Live) -> bool:
        """Wait for the turn, but not for long once the lines have ended.

        Args:
            lines: the lines from training, which are read meanwhile.
            live: the trials in training, which the lines update; its size is bounded, however long this takes.

        Returns:
            Whether the turn has come; if not, a line has said why.
        """
        printed = {""}
        self.elsewhere = False
        end: float | None = None
        while (hindrance := self._hindrance()) is not None:
            lines.take(live, _PAUSE)
            if hindrance.while_training not in printed and not (lines.ended and hindrance.elsewhere):
                printed.add(hindrance.while_training)
                say(hindrance.while_training)
            if lines.ended:
                end = end or time.monotonic()
                if time.monotonic() - end >= hindrance.patience:
                    say(hindrance.at_end)
                    self.elsewhere = hindrance.elsewhere
                    return False
                time.sleep(_PAUSE)
        return True

    def kept(self, *, last: bool) -> bool:
        """Return whether it is still this writer's turn: after a restart another writer may have taken the locks.

        Args:
            last: whether the study is about to be read for the last time.

        Raises:
            StorageAway: the server does not answer.
        """
        if self._locks is None:
            return True
        with answering(self._storage):
            if self._locks.kept() != ({_WRITING} if self._last else {_FIRST, _WRITING}):
                self.release()
                return False
            if last and not self._last:
                self._locks.give(_FIRST)
                self._last = True
        return True

    def release(self) -> None:
        """Give the turn up for another writer."""
        self._file.release()
        self._last = False
        if self._locks is not None:
            self._locks.release()

    def _hindrance(self) -> _Hindrance | None:
        """Take the locks that are free; return what is in the way, if anything is."""
        try:
            with answering(self._storage):
                return self._in_the_way()
        except StorageAway as away:
            self._file.release()
            return _Hindrance(at_end=f"{away}: {AGAIN}", patience=self._patience)

    def _in_the_way(self) -> _Hindrance | None:
        if self._locks is not None and not self._locks.take(_FIRST):
            self._file.release()
            return self._study_is_taken
        if not self._file.is_locked:
            try:
                self._file.acquire(timeout=0)
            except Timeout:
                if self._locks is not None:  # a writer of another machine need not wait for what is in the way here
                    self._locks.give(_FIRST)
                return self._store_is_taken
        return None if self._locks is None or self._locks.take(_WRITING) else self._nearly_done


def _file_lock(uri: str) -> FileLock:
    # The user is part of the name: in a shared /tmp one user's lock file can't be opened by another.
    user = os.getuid() if hasattr(os, "getuid") else ""
    digest = hashlib.sha256(f"{user} {resolved(uri)}".encode()).hexdigest()[:16]
    return FileLock(Path(tempfile.gettempdir()) / f"regsearch-mlflow-{digest}.lock")


def resolved(uri: str) -> str:
    """Return a tracking URI in a standard form, by which two processes know that they mean the same store.

    An SQLite path is made absolute. An address loses its credentials, and 127.0.0.1 becomes the name of this machine.
    """
    if uri.startswith("sqlite:///"):
        return "sqlite:///" + os.path.realpath(uri.removeprefix("sqlite:///").split("?")[0])
    try:
        parts = urlsplit(uri)
        host, port = parts.hostname, parts.port
    except ValueError:  # MLflow will refuse it
        return uri
    if not host:
        return uri.rstrip("/") if "://" in uri or uri == "databricks" else os.path.realpath(uri)
    if host in ("localhost", "::1") or host.startswith("127."):
        host = socket.gethostname().lower()
    port = port or _PORTS.get(parts.scheme.partition("+")[0])
    query = f"?{parts.query}" if parts.query else ""
    return f"{parts.scheme}://{host}:{port}{parts.path.rstrip('/')}{query}"
