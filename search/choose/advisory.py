"""Claims of processes on many machines: locks of the PostgreSQL server that holds the study (`search.storage.locks`).

After a restart of the server a process takes its own claims again at its next turn. Until then another that looks for
work may take them: both then train that cohort, to the same values, and the first of them is told (`search.loop`).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress

from sqlalchemy.exc import SQLAlchemyError

from search.storage.locks import AdvisoryLocks

_TURN = "turn"


class AdvisoryClaims:
    """Claims by advisory locks in the study's database.

    Args:
        url: of the study's storage.
        study: its name.

    Methods raise SQLAlchemy's errors where the server cannot be reached; a turn, where it was lost before its end.
    """

    def __init__(self, url: str, study: str) -> None:
        self._locks = AdvisoryLocks(url, study)

    @contextmanager
    def turn(self) -> Iterator[None]:
        self._locks.wait(_TURN)
        try:
            yield
        except BaseException:
            with suppress(SQLAlchemyError):  # the lock has gone with the connection
                self._locks.give(_TURN)
            raise
        self._locks.give(_TURN)  # which fails where it was lost in the meantime

    def take(self, cohort: int) -> bool:
        return self._locks.take(str(cohort))

    def finish(self) -> None:
        for cohort in self._locks.taken:
            self._locks.give(cohort)

    def release(self) -> None:
        self._locks.release()
