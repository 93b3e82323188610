"""A study's server that is away for a while, as in a restart: who has begun takes up the work when it is back."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

from optuna.exceptions import StorageInternalError
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from search.storage import database

FAULTS = (StorageInternalError, SQLAlchemyError)
"""What Optuna and SQLAlchemy raise over a storage."""
PATIENCE = 4
"""Failures in a row, with nothing done in between, that end a run."""
# PostgreSQL, "Error codes": connection exceptions, and what a server that is shut down or starts says.
_LOST = ("08", "57P01", "57P02", "57P03")


def pause(failures: int) -> float:
    """Seconds to wait after so many in a row, twice as many after each."""
    return 2.0**failures


def persist(work: Callable[[], None], done: Callable[[], int], storage: str) -> None:
    """Work, and take the work up again where the server was away.

    Args:
        work: may be begun again after a fault, as after a kill.
        done: how much is done: where that has grown, patience begins anew.
        storage: URL of the study's.
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
            print(f"{why}: going on in {pause(failures):.0f} s", file=sys.stderr, flush=True)
            time.sleep(pause(failures))


def is_away(storage: str, error: Exception) -> bool:
    """Whether an error is that of a server that does not answer; a full disk, say, is not."""
    cause = database.cause(error)
    if database.sqlite_path(storage) is not None or not isinstance(cause, DBAPIError):
        return False
    code = getattr(cause.orig, "sqlstate", None)
    # None of a server's own where there was none to give it.
    return cause.connection_invalidated or code is None or code.startswith(_LOST)
