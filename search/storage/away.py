"""Waiting for a database server that is away for a while, as in a restart, and going on when it is back."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

from optuna.exceptions import StorageInternalError
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from search.storage import database

FAULTS = (StorageInternalError, SQLAlchemyError)
"""The errors that Optuna and SQLAlchemy raise where a storage fails."""
PATIENCE = 4
"""The number of failures in a row, with nothing done in between, that ends a run."""
# PostgreSQL, "Error codes": connection exceptions, and what a server says that shuts down or starts.
_LOST = ("08", "57P01", "57P02", "57P03")


def pause(failures: int) -> float:
    """Return the seconds to wait after so many failures in a row; they double with each failure."""
    return 2.0**failures


def persist(work: Callable[[], None], done: Callable[[], int], storage: str) -> None:
    """Do the work, and begin it again where it failed because the server was away.

    Args:
        work: the work, which may be begun again after a failure, as after a kill.
        done: tells how much is done; where that has grown, the failures are counted anew.
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
    """Whether an error says that a server does not answer; a full disk, for one, is another matter."""
    cause = database.cause(error)
    if database.sqlite_path(storage) is not None or not isinstance(cause, DBAPIError):
        return False
    code = getattr(cause.orig, "sqlstate", None)
    # There is no code of a server's where no server was there to give one.
    return cause.connection_invalidated or code is None or code.startswith(_LOST)
