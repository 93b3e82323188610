"""`python -m search.compare STUDY STUDY ...`: is one study's chosen trial better than another's, or is it luck?"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from search.cli.command import leave, serve
from search.cli.options import DataDir, Device, Json, Offline, Storage, Techniques, application, option
from search.errors import RequestError
from search.storage.database import DEFAULT_STORAGE, DEFAULT_TRACKING

app = application()


@app.command()
def compare(
    studies: Annotated[list[str], typer.Argument(help="Names of studies, l2-digits, or recipes, which are run first.")],
    replicates: Annotated[int, option("Fresh ones of each chosen trial (default: 10).")] = 10,
    trials: Annotated[int | None, option("Take every study to this many trials first.")] = None,
    dataset: Annotated[str | None, option("Of recipes (default: the recipe's).")] = None,
    target: Annotated[str | None, option("Of recipes: the column of a table that is predicted.")] = None,
    data_dir: DataDir = Path("data"),
    offline: Offline = False,
    figure: Annotated[Path | None, option("A .png or .svg of all intervals.")] = None,
    technique: Techniques = None,
    device: Device = "auto",
    storage: Storage = DEFAULT_STORAGE,
    tracking_uri: Annotated[
        str, option(f"MLflow's, for studies that are run (default: {DEFAULT_TRACKING}), or none.")
    ] = DEFAULT_TRACKING,
    json_: Json = False,
) -> None:
    """Train the best trial of each study on fresh replicates, test it, and say what can be told apart.

    The test split is read, and each study counts how often.
    """
    started = time.monotonic()
    if figure is not None:
        from search.show.figure_file import check

        check(figure)
    # Before torch is imported, which takes a second.
    if replicates < 2:
        raise RequestError(f"replicates must be >= 2, got {replicates}: one says nothing about how they vary")
    if len(studies) < 2:
        raise RequestError(f"takes two studies or more, got {len(studies)}")

    from search.compare.contenders import enter
    from search.compare.studies import compare_studies

    contenders = enter(
        studies, storage=storage, tracking_uri=tracking_uri, trials=trials,
        replicates=replicates, dataset=dataset, target=target, data_dir=data_dir, offline=offline, device=device,
        techniques=technique or (),
    )  # fmt: skip
    found = compare_studies(*contenders, replicates=replicates)
    if figure is not None:
        found.draw(figure)
        print(f"figure: {figure}", file=sys.stderr)
    if json_:
        print(json.dumps(found.outcome() | {"seconds": round(time.monotonic() - started, 3)}, allow_nan=False))
    else:
        print(found)


def main(words: list[str] | None = None) -> int:
    """The command line; returns the exit status."""
    return serve(app, words)


if __name__ == "__main__":
    leave(main())
