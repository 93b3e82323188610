"""`regsearch compare STUDY STUDY ...`: is one study's chosen trial better than another's, or is it luck?"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Annotated

from search.cli.command import leave, serve
from search.cli.names import complete_study
from search.cli.opening import opening
from search.cli.options import (
    DATA,
    DataDir,
    Device,
    Force,
    Json,
    MetricFiles,
    Offline,
    Storage,
    Target,
    Techniques,
    TrackingUriOrNone,
    application,
    argument,
    command,
    option,
)
from search.cli.stored import validate_words
from search.compare.page import validate_page
from search.errors import RequestError
from search.show import figure_file
from search.storage.database import DEFAULT_STORAGE
from search.storage.tracking import AUTO

app = application()


@command(app)
def compare(
    studies: Annotated[
        list[str],
        argument("Names of studies, such as l2-digits, or recipes, which are run first.", "STUDY", complete_study),
    ],
    replicates: Annotated[int, option("The number of fresh replicates of each chosen trial.")] = 10,
    trials: Annotated[int | None, option("Run every study to this many trials first.")] = None,
    score: Annotated[
        str | None,
        option(
            "The metric of the verdict, such as val_f1.",
            metavar="NAME",
            default="the studies' common objective, or accuracy or RMSE",
        ),
    ] = None,
    figure: Annotated[Path | None, option("A .png or .svg file of all intervals.", metavar="FILE")] = None,
    page: Annotated[
        Path | None,
        option("An .html file, to write the result as a page.", None, "--html", metavar="FILE"),
    ] = None,
    dataset: Annotated[
        str | None, option("The data set of the recipes.", DATA, metavar="NAME|PATH", default="the recipe's")
    ] = None,
    target: Target = None,
    data_dir: DataDir = Path("data"),
    offline: Offline = False,
    technique: Techniques = None,
    metric: MetricFiles = None,
    device: Device = "auto",
    storage: Storage = DEFAULT_STORAGE,
    tracking_uri: TrackingUriOrNone = AUTO,
    force: Force = False,
    json_: Json = False,
) -> None:
    """Train the best trial of each study on fresh replicates, test it, and say which is better.

    The command prints a confidence interval for every difference. It reads the test split, and each study counts how
    often.
    """
    started = time.monotonic()
    # Before torch is imported, which takes seconds.
    if figure is not None:
        figure_file.validate_figure_file(figure)
        figure_file.validate_replaceable(figure, force=force)
    if page is not None:
        validate_page(page, force=force)
    if replicates < 2:
        raise RequestError(f"replicates must be >= 2, got {replicates}: one says nothing about how they vary")
    if len(studies) < 2:
        raise RequestError(f"a comparison needs at least two studies, got {len(studies)}")
    validate_words(studies, storage)

    with opening(", ".join(studies)):
        from search.compare.contenders import enter
        from search.compare.studies import compare_studies
        from search.study.retrain import complete_trial

    contenders = enter(
        studies,
        storage=storage,
        tracking_uri=tracking_uri,
        trials=trials,
        replicates=replicates,
        dataset=dataset,
        target=target,
        data_dir=data_dir,
        offline=offline,
        device=device,
        techniques=technique or (),
        metrics=metric or (),
    )
    if figure is not None:
        figure_file.validate_overwrite(
            figure, [(one.name, complete_trial(one, None).number) for one in contenders], force=force
        )
    result = compare_studies(*contenders, replicates=replicates, score=score)
    if figure is not None:
        result.draw(figure)
        print(f"figure: {figure}", file=sys.stderr)
    if page is not None:
        result.page(page)
        print(f"page: {page}", file=sys.stderr)
    if json_:
        print(json.dumps(result.outcome() | {"seconds": round(time.monotonic() - started, 3)}, allow_nan=False))
    else:
        print(result)


def main(words: list[str] | None = None) -> int:
    """Run the command line and return the exit status."""
    return serve(app, words)


if __name__ == "__main__":
    leave(main())
