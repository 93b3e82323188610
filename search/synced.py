"""MLflow made equal to studies of a storage, and what became of each."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from search.errors import RequestError
from search.storage import database
from search.study.lookup import find, ours

if TYPE_CHECKING:
    from search.tracking.catch_up import Caught


def sync_studies(
    *studies: str,
    storage: str = database.DEFAULT_STORAGE,
    tracking_uri: str = database.DEFAULT_TRACKING,
    told: Callable[[Caught], None] = lambda _study: None,
) -> list[Caught]:
    """Make MLflow equal to studies: every finished trial's run, each once, with all its points, tags and times.

    The studies are the truth and stay as they are. The list is shorter than they are where MLflow did not answer.

    Args:
        studies: as they were run, ``l2``, or their names, ``l2-digits``; default all that there are in the storage.
        storage, tracking_uri: URLs of the Optuna database and of MLflow.
        told: is given what became of each study as soon as it is done.

    Raises:
        RequestError: there is no such study, or one of the two URLs is no place for what it is to hold.
    """
    from search.tracking.catch_up import catch_up

    if tracking_uri == "none":
        raise RequestError("tracking-uri takes sqlite:///FILE, http://SERVER or another database's URL, got 'none'")
    names = [find(storage, study)[0] for study in studies] or ours(storage)
    if not names:
        raise RequestError(f"storage: there is no study of regsearch's in {database.shown(storage)}")
    database.validate_databases(storage, tracking_uri)
    done = []
    for one in catch_up(names, storage, tracking_uri):
        done.append(one)
        told(one)
    return done
