"""Claims of processes on several machines: locks of the PostgreSQL server that has the study (`search.storage.locks`).

After a restart of the server, a process takes its claims again at its next turn. Until then another process that looks
for work may take them. Both then train that cohort, to the same values, and the study keeps the result that is told
first (`search.loop`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress

from sqlalchemy.exc import SQLAlchemyError

from search.storage.locks import AdvisoryLocks

_TURN = "turn"


class AdvisoryClaims:
    """Claims by advisory locks in the study's database.

    Its methods raise SQLAlchemy's errors if the server cannot be reached; `turn` also if the lock was lost in between.

    Args:
        url: the URL of the study's storage.
        study: the name of the study.
    """

    def __init__(self, url: str, study: str) -> None:
        self._locks = AdvisoryLocks(url, study)

    @contextmanager
    def turn(self) -> Iterator[None]:
        self._locks.wait(_TURN)
        try:
            yield
        except BaseException:
            with suppress(SQLAlchemyError):  # the lock is gone if the connection is
                self._locks.give(_TURN)
            raise
        self._locks.give(_TURN)  # this fails if the lock has been lost

    def take(self, cohort: int) -> bool:
        return self._locks.take(str(cohort))

    def finish(self, unwritten: Collection[int] = ()) -> None:
        for cohort in self._locks.taken - set(map(str, unwritten)):
            self._locks.give(cohort)

    def release(self) -> None:
        self._locks.release()
