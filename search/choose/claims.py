"""Who trains what, where several processes run one study: a lock for each cohort, which dies with its holder.

What a killed process was training is free at once: there is no heartbeat to wait for. The processes of one machine have
the operating system's locks; those of many machines, whose study is in PostgreSQL, have that server's
(`search.choose.advisory`).
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Protocol

from filelock import FileLock, Timeout

from search.storage.database import backend, sqlite_path


class Claims(Protocol):
    """One process's claims on a study."""

    def turn(self) -> contextlib.AbstractContextManager[None]:
        """While the block runs, no other process opens the study, asks for trials or claims a cohort."""
        ...

    def take(self, cohort: int) -> bool:
        """Claim a cohort, in one's turn; whether it is not another living process's."""
        ...

    def finish(self) -> None:
        """Give up all claims, in one's turn: most cohorts are done, and nobody looks for their locks again."""
        ...

    def release(self) -> None:
        """Give up all claims, done or not."""
        ...


def claims(url: str, study: str) -> Claims:
    """For a study in the storage at a URL."""
    if backend(url) == "postgresql":
        from search.choose.advisory import AdvisoryClaims

        return AdvisoryClaims(url, study)
    return FileClaims(url, study)


class FileClaims:
    """Claims by locks on files in the temporary folder, among processes of one machine.

    Args:
        url: of the study's storage.
        study: its name.
    """

    def __init__(self, url: str, study: str) -> None:
        self._url, self._study = url, study
        self._mine: dict[int, FileLock] = {}

    @cached_property
    def _stem(self) -> Path:
        path = sqlite_path(self._url)
        place = os.path.realpath(path) if path else self._url  # one file, whatever links lead to it
        digest = hashlib.sha256(f"{place}\x1f{self._study}".encode()).hexdigest()[:24]
        return Path(tempfile.gettempdir()) / f"regsearch-{digest}"

    @cached_property
    def _turn(self) -> FileLock:
        return FileLock(f"{self._stem}.lock")

    @contextlib.contextmanager
    def turn(self) -> Iterator[None]:
        with self._turn:
            yield

    def take(self, cohort: int) -> bool:
        lock = FileLock(f"{self._stem}-{cohort}.lock", timeout=0)
        try:
            lock.acquire()
        except Timeout:
            return False
        self._mine[cohort] = lock
        return True

    def finish(self) -> None:
        for cohort, lock in self._mine.items():
            lock.release()
            Path(f"{self._stem}-{cohort}.lock").unlink(missing_ok=True)
        self._mine.clear()

    def release(self) -> None:
        for lock in self._mine.values():
            lock.release()
        self._mine.clear()
