"""`python -m search.replay STUDY TRIAL`: train a trial again, alone, and compare it with its record to the bit."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

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
)
from search.storage.database import DEFAULT_STORAGE

app = application()


@app.command()
def replay(
    study: Stored,
    trial: Annotated[int, typer.Argument(help="The trial's number.")],
    dataset: Dataset = None,
    data_dir: DataDir = Path("data"),
    offline: Offline = False,
    technique: Techniques = None,
    device: Device = "auto",
    study_name: StudyName = None,
    storage: Storage = DEFAULT_STORAGE,
    json_: Json = False,
) -> int:
    """Train a trial again, alone, with all its replicates, to as many epochs as its record has, and compare.

    On the CPU, of the same type and with the same torch, every number is to be the same to the bit; elsewhere the
    losses of the first epochs, within a tolerance. Exit status 1 where they are not. Nothing is written.
    """
    from search.api import load_study
    from search.replay.replay import replay

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
    found = replay(made, trial, lambda line: print(line, file=sys.stderr, flush=True))
    print(json.dumps(found.outcome(), allow_nan=False) if json_ else found)
    return 0 if found.holds else 1


def main(words: list[str] | None = None) -> int:
    """The command line; returns the exit status."""
    return serve(app, words)


if __name__ == "__main__":
    leave(main())
