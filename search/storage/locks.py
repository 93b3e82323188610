"""Locks for processes on many machines: PostgreSQL's advisory locks, which end with the connection that holds them.

A killed process closes its connection, which frees its locks at once. If a whole machine vanishes, the server closes
its connections after a minute without an answer (`search.storage.patience`). A machine that vanished while it
waited for a lock may still be given that lock, for another minute. A restarted server has forgotten all locks: a
process that goes on takes its own again, unless another process has taken them first.

Source: PostgreSQL, "Explicit locking", section 13.3.5.
"""

from __future__ import annotations

import hashlib
from collections.abc import Set
from contextlib import suppress

from sqlalchemy import Connection, Engine, create_engine, text
from sqlalchemy.exc import SQLAlchemyError

from search.storage.patience import patience


class AdvisoryLocks:
    """The locks that one process holds in a database, each under a name.

    They need a connection of their own for as long as a lock is held, so a pooler that shares connections by
    transaction cannot be used.

    Args:
        url: the URL of the database.
        scope: what the names belong to, such as a study: locks of different scopes are different locks.

    The methods raise SQLAlchemy's errors if the server cannot be reached.
    """

    def __init__(self, url: str, scope: str) -> None:
        self._url, self._scope = url, scope
        self._engine: Engine | None = None
        self._connection: Connection | None = None
        self._mine: set[str] = set()

    def wait(self, name: str) -> None:
        """Take a lock for a moment, as soon as it is free; if its connection is lost, it is not taken again."""
        self._call(self._alive(), "pg_advisory_lock", name)

    def take(self, name: str) -> bool:
        """Take a lock to keep it; return False if another living process holds it.

        If the connection was lost, this fails rather than making another: a lock taken by `wait` is lost with it.
        """
        connection = self._connection or self._connected()
        if name not in self._mine and self._call(connection, "pg_try_advisory_lock", name):
            self._mine.add(name)
        return name in self._mine

    def give(self, name: str) -> None:
        """Give a lock up; if its connection was lost, it is gone already."""
        if self._connection is not None:
            self._call(self._connection, "pg_advisory_unlock", name)
        self._mine.discard(name)

    @property
    def taken(self) -> Set[str]:
        """The locks that `take` has taken; the server may have forgotten them."""
        return frozenset(self._mine)

    def kept(self) -> Set[str]:
        """The taken locks that are still held: after a restart of the server another process may have taken some."""
        self._alive()
        return self.taken

    def release(self) -> None:
        """Give up all locks, and the connection."""
        self._mine = set()
        if self._connection is not None:
            with suppress(SQLAlchemyError):
                self._connection.close()
        if self._engine is not None:
            self._engine.dispose()
        self._connection = self._engine = None

    def _alive(self) -> Connection:
        """Return the connection; a new one if it was lost."""
        if self._connection is not None:
            with suppress(SQLAlchemyError):
                self._connection.execute(text("SELECT 1"))
                return self._connection
            self._connection.close()
        return self._connected()

    def _connected(self) -> Connection:
        self._engine = self._engine or create_engine(
            self._url, isolation_level="AUTOCOMMIT", pool_size=1, **patience(self._url)
        )
        self._connection = self._engine.connect()
        # A restarted server has forgotten these: take them again, unless somebody else has them by now.
        self._mine = {name for name in self._mine if self._call(self._connection, "pg_try_advisory_lock", name)}
        return self._connection

    def _call(self, connection: Connection, function: str, name: str) -> bool:
        digest = hashlib.sha256(f"{self._scope}\x1f{name}".encode()).digest()
        key = int.from_bytes(digest[:8], "big", signed=True)
        try:
            return bool(connection.execute(text(f"SELECT {function}(:key)"), {"key": key}).scalar())
        except SQLAlchemyError:
            connection.close()
            self._connection = None
            raise
