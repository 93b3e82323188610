"""`python -m search.uncertainty STUDY`: how uncertain a trial's predictions are, by Monte Carlo dropout."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

from search.cli.command import leave, serve
from search.cli.options import (
    DataDir,
    Dataset,
    Device,
    Json,
    Offline,
    Storage,
    Stored,
    StudyName,
    Techniques,
    application,
    option,
)
from search.storage.database import DEFAULT_STORAGE

app = application()


@app.command()
def uncertainty(
    study: Stored,
    trial: Annotated[int | None, option("The trial's number (default: the best).")] = None,
    passes: Annotated[int, option("Monte Carlo passes (default: 100).")] = 100,
    activation: Annotated[
        str | None, option("Train it with each of these instead of its own.", metavar="A,B,C")
    ] = None,
    figure: Annotated[Path | None, option("A .png or .svg of points, mean and band, where there is one input.")] = None,
    dataset: Dataset = None,
    data_dir: DataDir = Path("data"),
    offline: Offline = False,
    technique: Techniques = None,
    device: Device = "auto",
    study_name: StudyName = None,
    storage: Storage = DEFAULT_STORAGE,
    json_: Json = False,
) -> None:
    """Train a trial again and sample its predictions of the validation rows, with the noise of dropout.

    The study's settings are read from its storage. Nothing is written but the figure.
    """
    if figure is not None:
        from search.show.figure_file import check as check_file

        check_file(figure)

    from search.api import load_study

    made = load_study(
        study,
        study_name=study_name,
        dataset=dataset,
        storage=storage,
        data_dir=data_dir,
        offline=offline,
        techniques=technique or (),
        device=device,
    )
    if figure is not None:
        from search.uncertainty.figure import validate_figure_data

        validate_figure_data(made)
    found = made.uncertainty(trial, passes=passes, activations=activation.split(",") if activation else ())
    if figure is not None:
        found.draw(figure)
        print(f"figure: {figure}", file=sys.stderr)
    print(json.dumps(found.outcome(), allow_nan=False) if json_ else found)


def main(words: list[str] | None = None) -> int:
    """The command line; returns the exit status."""
    return serve(app, words)


if __name__ == "__main__":
    leave(main())
