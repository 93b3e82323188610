"""`regsearch sync [STUDY]`: bring MLflow up to date with a study, or with all studies of a storage."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

from search.cli.command import leave, serve
from search.cli.names import studies
from search.cli.options import Experiment, Json, Storage, TrackingUri, application, argument, command
from search.cli.stored import validate_words
from search.errors import RequestError, counted
from search.storage import database
from search.storage.database import DEFAULT_STORAGE
from search.storage.tracking import AUTO, required_uri, resolved_experiment

if TYPE_CHECKING:
    from search.tracking.catch_up import Caught

app = application()


@command(app)
def sync(
    study: Annotated[
        str | None,
        argument(
            "A study's name, such as l2-digits, or its recipe; by default all studies of the storage.",
            "STUDY",
            lambda: studies() or [],
        ),
    ] = None,
    storage: Storage = DEFAULT_STORAGE,
    tracking_uri: TrackingUri = AUTO,
    experiment: Experiment = None,
    json_: Json = False,
) -> int:
    """Bring MLflow up to date with a study.

    Each finished trial gets exactly one run, with all its points, tags and times. The study itself is not changed. The
    exit status is 1 if MLflow does not answer or a record cannot be read.
    """

    def log(result: Caught) -> None:
        if result.equal:
            has = f"{result.study}: MLflow has its {counted(result.trials, 'trial')}"
            print(f"{has}, {result.written} written now", file=sys.stderr)

    started = time.monotonic()
    words = [] if study is None else [study]
    database.validate_present(storage)
    validate_words(words, storage, "study")
    uri = required_uri(tracking_uri)
    results = sync_studies(*words, storage=storage, tracking_uri=uri, experiment=experiment, log=log)
    # The list ends early if MLflow does not answer.
    equal = bool(results) and all(result.equal for result in results)
    if json_:
        urls = {"storage": database.shown(storage), "tracking": database.shown(uri)}
        seconds = round(time.monotonic() - started, 3)
        outcome = {"equal": equal, "studies": [asdict(result) for result in results], "seconds": seconds, "urls": urls}
        print(json.dumps(outcome))
    return 0 if equal else 1


def sync_studies(
    *studies: str,
    storage: str = DEFAULT_STORAGE,
    tracking_uri: str = AUTO,
    experiment: str | None = None,
    log: Callable[[Caught], None] = lambda _result: None,
) -> list[Caught]:
    """Bring MLflow up to date with studies: each finished trial gets one run, with all its points, tags and times.

    The studies themselves are not changed. The list ends early if MLflow does not answer.

    Args:
        studies: names of studies, ``l2-digits``, or the recipes they were run with; by default all in the storage.
        storage: the URL of the Optuna database.
        tracking_uri: the tracking URI of MLflow; by default MLFLOW_TRACKING_URI, or else a file ``mlflow.db``.
        experiment: MLflow's experiment; by default MLFLOW_EXPERIMENT_NAME, or else ``regsearch``.
        log: a function that is called with each study's result as soon as it is known.

    Raises:
        RequestError: there is no such study, or one of the two URLs is of the wrong kind.
    """
    from search.study.lookup import find, ours
    from search.tracking.catch_up import catch_up

    uri = required_uri(tracking_uri)
    database.validate_present(storage)
    names = [find(storage, study)[0] for study in studies] or list(ours(storage))
    if not names:
        raise RequestError(f"storage: {database.shown(storage)} has no study that regsearch made")
    database.validate_databases(storage, uri)
    results = []
    for result in catch_up(names, storage, uri, experiment=resolved_experiment(experiment)):
        results.append(result)
        log(result)
    return results


def main(words: list[str] | None = None) -> int:
    """Run the command line and return the exit status."""
    return serve(app, words)


if __name__ == "__main__":
    leave(main())
