"""`python -m search.report STUDY`: a study's record as one page that opens offline, and its figures as files."""

from __future__ import annotations

import json
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
def report(
    study: Stored,
    output: Annotated[Path | None, option("The folder to write (default: report-NAME).")] = None,
    training: Annotated[
        bool | None,
        option("Train networks again for weights and test split (default: if quick).", "--training/--no-training"),
    ] = None,
    dataset: Dataset = None,
    data_dir: DataDir = Path("data"),
    offline: Offline = False,
    technique: Techniques = None,
    device: Device = "auto",
    study_name: StudyName = None,
    storage: Storage = DEFAULT_STORAGE,
    json_: Json = False,
) -> None:
    """Write a page with a study's figures and what they say, and each figure as PNG and SVG.

    The test split is read for the best trial where its networks are trained again; the study counts each reading.
    The folder is filled at the end: an earlier report in it stays until then, and your own files in it stay.
    A study of fewer than two complete trials gets a page of its facts that says so, and exit status 0.
    """
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

    from search.report import build

    written = build.write(made, output, training=training)
    if json_:
        print(json.dumps(build.outcome(made, written), allow_nan=False))
    else:
        print(written)


def main(words: list[str] | None = None) -> int:
    """The command line; returns the exit status."""
    return serve(app, words)


if __name__ == "__main__":
    leave(main())
