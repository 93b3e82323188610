"""`python -m search.sync [STUDY]`: make MLflow equal to a study, or to all of a storage, after it was unreachable."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import asdict
from typing import Annotated

import typer

from search import database
from search.command import serve
from search.database import DEFAULT_STORAGE, DEFAULT_TRACKING
from search.errors import RequestError, counted
from search.options import Json, Storage, TrackingUri, application

app = application()


@app.command()
def sync(
    study: Annotated[
        str | None, typer.Argument(help="As it was run, such as l2, or its name, l2-digits (default: all there are).")
    ] = None,
    storage: Storage = DEFAULT_STORAGE,
    tracking_uri: TrackingUri = DEFAULT_TRACKING,
    json_: Json = False,
) -> int:
    """Make MLflow equal to a study: every finished trial's run, each once, with all its points, tags and times.

    The study is the truth and stays as it is. Exit status 1 where MLflow does not answer or a record can't be read.
    """
    from search.record.catch_up import catch_up
    from search.stored import find, ours

    started = time.monotonic()
    if tracking_uri == "none":
        raise RequestError("tracking-uri takes sqlite:///FILE, http://SERVER or another database's URL, got 'none'")
    names = ours(storage) if study is None else [find(storage, study)[0]]
    if not names:
        raise RequestError(f"storage: there is no study of regsearch's in {database.shown(storage)}")
    database.check_places(storage, tracking_uri)
    done = []
    for one in catch_up(names, storage, tracking_uri):
        done.append(one)
        if one.equal:
            print(
                f"{one.study}: MLflow has its {counted(one.trials, 'trial')}, {one.written} written now",
                file=sys.stderr,
            )
    equal = len(done) == len(names) and all(one.equal for one in done)
    if json_:
        urls = {"storage": database.shown(storage), "tracking": database.shown(tracking_uri)}
        seconds = round(time.monotonic() - started, 3)
        studies = [asdict(one) for one in done]
        print(json.dumps({"equal": equal, "studies": studies, "seconds": seconds, "urls": urls}))
    return 0 if equal else 1


def main(words: list[str] | None = None) -> int:
    """The command line; returns the exit status."""
    return serve(app, words)


if __name__ == "__main__":
    sys.exit(main())
