"""`python -m search.sync [STUDY]`: make MLflow equal to a study, or to all of a storage, after it was unreachable."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from search.cli.command import serve
from search.cli.options import Json, Storage, TrackingUri, application
from search.errors import counted
from search.storage import database
from search.storage.database import DEFAULT_STORAGE, DEFAULT_TRACKING

if TYPE_CHECKING:
    from search.tracking.catch_up import Caught

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
    from search.synced import sync_studies

    def tell(one: Caught) -> None:
        if one.equal:
            print(
                f"{one.study}: MLflow has its {counted(one.trials, 'trial')}, {one.written} written now",
                file=sys.stderr,
            )

    started = time.monotonic()
    done = sync_studies(*([] if study is None else [study]), storage=storage, tracking_uri=tracking_uri, told=tell)
    # It ends early where MLflow does not answer.
    equal = bool(done) and all(one.equal for one in done)
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
