"""`python -m search.export STUDY`: the chosen trial's network as a file that plain PyTorch loads, and in MLflow."""

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
    TrackingUri,
    application,
    option,
)
from search.storage.database import DEFAULT_STORAGE, DEFAULT_TRACKING

app = application()


@app.command()
def export(
    study: Stored,
    trial: Annotated[int | None, option("The trial's number (default: the best).")] = None,
    one_se: Annotated[
        bool, option("The most strongly regularised trial within one standard error of the best.", "--one-se")
    ] = False,
    output: Annotated[Path | None, option("The file to write (default: model.safetensors).")] = None,
    register: Annotated[str | None, option("Register it as a model in MLflow too.", metavar="NAME")] = None,
    dataset: Dataset = None,
    data_dir: DataDir = Path("data"),
    offline: Offline = False,
    technique: Techniques = None,
    device: Device = "auto",
    study_name: StudyName = None,
    storage: Storage = DEFAULT_STORAGE,
    tracking_uri: TrackingUri = DEFAULT_TRACKING,
    json_: Json = False,
) -> None:
    """Train a trial again and save its network, with its scaling, as safetensors, and what it is as JSON beside it.

    Prints the lines of plain PyTorch that load it. The test split is not read.
    """
    from search.api import load_study
    from search.export import network
    from search.storage import database

    output = output or Path("model.safetensors")
    network.validate_export(output, trial, one_se=one_se)
    if register is not None:
        database.validate_databases(storage, tracking_uri)
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
    found = network.export(made, output, trial, one_se=one_se)
    uri = None if register is None else found.register(register, tracking_uri)
    if json_:
        meta = found.model.meta
        said = {"study": made.name, "trial": meta.trial, "val_loss": meta.val_loss}
        print(json.dumps(said | {"file": str(output), "registered": uri, "lines": found.lines}))
        return
    print(found)
    if uri is not None:
        print(f"\nregistered: mlflow.pytorch.load_model({uri!r})")


def main(words: list[str] | None = None) -> int:
    """The command line; returns the exit status."""
    return serve(app, words)


if __name__ == "__main__":
    leave(main())
