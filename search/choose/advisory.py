"""Claims of processes on many machines: PostgreSQL's advisory locks, held by a connection and gone with it.

A process that is killed closes its connection, and its claims are free at once. One whose machine vanishes is given up
by the server after a minute without an answer (`search.database.patience`); one that vanished while it waited for its
turn may still be given that, for another minute. A server that was restarted has forgotten all claims: a process
that goes on takes its own again at its next turn, and if another has been quicker, both train that cohort, to the same
values, and the first of them is told (`search.loop`).

Source: PostgreSQL, "Explicit locking", section 13.3.5.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from sqlalchemy import Connection, Engine, create_engine, text
from sqlalchemy.exc import SQLAlchemyError

from search.database import patience

_TURN = "turn"


class AdvisoryClaims:
    """Claims by advisory locks in the study's database.

    Needs a connection of its own for as long as a claim is held: not one that a pooler shares out by transaction.

    Args:
        url: of the study's storage.
        study: its name.

    Methods raise SQLAlchemy's errors where the server cannot be reached.
    """

    def __init__(self, url: str, study: str) -> None:
        self._url, self._study = url, study
        self._engine: Engine | None = None
        self._connection: Connection | None = None
        self._mine: set[int] = set()

    @contextmanager
    def turn(self) -> Iterator[None]:
        connection = self._connected()
        self._call(connection, "pg_advisory_lock", _TURN)
        try:
            yield
        finally:
            with suppress(SQLAlchemyError):  # the lock has gone with the connection
                self._call(connection, "pg_advisory_unlock", _TURN)

    def take(self, cohort: int) -> bool:
        taken = self._call(self._connected(), "pg_try_advisory_lock", cohort)
        if taken:
            self._mine.add(cohort)
        return taken

    def finish(self) -> None:
        for cohort in self._mine:
            self._call(self._connected(), "pg_advisory_unlock", cohort)
        self._mine.clear()

    def release(self) -> None:
        self._mine.clear()
        if self._connection is not None:
            with suppress(SQLAlchemyError):
                self._connection.close()
        if self._engine is not None:
            self._engine.dispose()
        self._connection = self._engine = None

    def _connected(self) -> Connection:
        if self._connection is not None:
            with suppress(SQLAlchemyError):
                self._connection.execute(text("SELECT 1"))
                return self._connection
            self._connection.close()
        self._engine = self._engine or create_engine(
            self._url, isolation_level="AUTOCOMMIT", pool_size=1, **patience(self._url)
        )
        self._connection = self._engine.connect()
        # What the server has forgotten, if nobody else has it by now.
        self._mine = {cohort for cohort in self._mine if self._call(self._connection, "pg_try_advisory_lock", cohort)}
        return self._connection

    def _call(self, connection: Connection, function: str, what: int | str) -> bool:
        digest = hashlib.sha256(f"{self._study}\x1f{what}".encode()).digest()
        key = int.from_bytes(digest[:8], "big", signed=True)
        return bool(connection.execute(text(f"SELECT {function}(:key)"), {"key": key}).scalar())
