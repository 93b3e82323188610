"""Wait while a database server does not answer, as during a restart, and go on when it does."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

from optuna.exceptions import StorageInternalError
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from search.storage import database

FAULTS = (StorageInternalError, SQLAlchemyError)
"""The errors that Optuna and SQLAlchemy raise if a storage fails."""
PATIENCE = 4
"""The number of failures in a row, with nothing done in between, that ends a run."""
# PostgreSQL, "Error codes": connection exceptions, and the codes of a server that is shutting down or starting.
_LOST = ("08", "57P01", "57P02", "57P03")


def pause(failures: int) -> float:
    """Return the seconds to wait after so many failures in a row; they double with each failure."""
    return 2.0**failures


def persist(work: Callable[[], None], done: Callable[[], int], storage: str) -> None:
    """Do the work, and start it again if it fails because the server does not answer.

    Args:
        work: the work, which can be started again after a failure.
        done: returns how much is done. Once that has grown, failures are counted from 0 again.
        storage: the URL of the storage.
    """
    failures, before = 0, 0
    while True:
        try:
            return work()
        except FAULTS as error:
            failures = failures + 1 if done() == before else 1
            before = done()
            if failures == PATIENCE or not is_away(storage, error):
                raise
            why = f"storage {database.shown(storage)} failed ({database.reason(error)})"
            print(f"{why}: trying again in {pause(failures):.0f} s", file=sys.stderr, flush=True)
            time.sleep(pause(failures))


def is_away(storage: str, error: Exception) -> bool:
    """Return whether an error means that a server does not answer, unlike, for instance, a full disk."""
    cause = database.cause(error)
    if database.sqlite_path(storage) is not None or not isinstance(cause, DBAPIError):
        return False
    code = getattr(cause.orig, "sqlstate", None)
    # The error has no code if no server was there to send one.
    return cause.connection_invalidated or code is None or code.startswith(_LOST)
