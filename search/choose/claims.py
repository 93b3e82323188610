"""Who trains what, where several processes of one machine run one study: an operating system's lock for each cohort.

A lock dies with its holder. What a killed process was training is free at once: there is no heartbeat to wait for.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

from filelock import FileLock, Timeout

from search.database import sqlite_path


class Claims:
    """One process's claims on a study.

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
        """While the block runs, no other process opens the study, asks for trials or claims a cohort."""
        with self._turn:
            yield

    def take(self, cohort: int) -> bool:
        """Claim a cohort, in one's turn; whether it is not another living process's."""
        lock = FileLock(f"{self._stem}-{cohort}.lock", timeout=0)
        try:
            lock.acquire()
        except Timeout:
            return False
        self._mine[cohort] = lock
        return True

    def finish(self) -> None:
        """Give up all claims, in one's turn: the cohorts are done, and nobody looks for their locks again."""
        for cohort, lock in self._mine.items():
            lock.release()
            Path(f"{self._stem}-{cohort}.lock").unlink(missing_ok=True)
        self._mine.clear()

    def release(self) -> None:
        """Give up all claims, done or not."""
        for lock in self._mine.values():
            lock.release()
        self._mine.clear()
