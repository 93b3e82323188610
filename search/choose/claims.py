"""Claims of processes that run the same study: a lock for each cohort, which is released when its holder dies.

So what a killed process was training is free at once, without waiting for a heartbeat. Processes of one machine use
locks of the operating system; processes of several machines, whose study is in PostgreSQL, use locks of that server
(`search.choose.advisory`).
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
from collections.abc import Collection, Iterator
from functools import cached_property
from pathlib import Path
from typing import Protocol

from filelock import FileLock, Timeout

from search.storage.database import backend, sqlite_path


class Claims(Protocol):
    """The claims of one process on the cohorts of a study."""

    def turn(self) -> contextlib.AbstractContextManager[None]:
        """Keep other processes from opening the study, asking for trials or claiming cohorts while the block runs."""
        ...

    def take(self, cohort: int) -> bool:
        """Claim a cohort, within a turn; return whether it succeeded, which it does unless a living process has it."""
        ...

    def finish(self, unwritten: Collection[int] = ()) -> None:
        """Give up all claims, within a turn, and clear up their locks: the claimed cohorts are done.

        Args:
            unwritten: the cohorts whose claims are kept, as their results are not in the study yet.
        """
        ...

    def release(self) -> None:
        """Give up all claims, whether or not their cohorts are done."""
        ...


def claims(url: str, study: str) -> Claims:
    """Return this process's claims on a study in the storage at a URL; it has none yet."""
    if backend(url) == "postgresql":
        from search.choose.advisory import AdvisoryClaims

        return AdvisoryClaims(url, study)
    return FileClaims(url, study)


def remove_locks(url: str, study: str) -> None:
    """Remove the files that lock a study of this machine, which nobody will open again."""
    stem = FileClaims(url, study).stem
    for path in stem.parent.glob(f"{stem.name}*.lock"):
        path.unlink(missing_ok=True)


class FileClaims:
    """Claims by locks on files in the temporary folder, for processes of one machine.

    Args:
        url: the URL of the study's storage.
        study: the name of the study.
    """

    def __init__(self, url: str, study: str) -> None:
        self._url, self._study = url, study
        self._taken: dict[int, FileLock] = {}

    @cached_property
    def stem(self) -> Path:
        """The path with which the names of its locks begin."""
        path = sqlite_path(self._url)
        place = os.path.realpath(path) if path else self._url  # links to a file share its locks
        digest = hashlib.sha256(f"{place}\x1f{self._study}".encode()).hexdigest()[:24]
        return Path(tempfile.gettempdir()) / f"regsearch-{digest}"

    @cached_property
    def _turn(self) -> FileLock:
        return FileLock(f"{self.stem}.lock")

    @contextlib.contextmanager
    def turn(self) -> Iterator[None]:
        with self._turn:
            yield

    def take(self, cohort: int) -> bool:
        if cohort in self._taken:
            return True
        lock = FileLock(f"{self.stem}-{cohort}.lock", timeout=0)
        try:
            lock.acquire()
        except Timeout:
            return False
        self._taken[cohort] = lock
        return True

    def finish(self, unwritten: Collection[int] = ()) -> None:
        for cohort in self._taken.keys() - set(unwritten):
            self._taken.pop(cohort).release()
            Path(f"{self.stem}-{cohort}.lock").unlink(missing_ok=True)

    def release(self) -> None:
        for lock in self._taken.values():
            lock.release()
        self._taken.clear()
