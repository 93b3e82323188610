"""`regsearch export STUDY`: the chosen trial's network as a file that plain PyTorch loads, and in MLflow."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

from search.cli.command import leave, serve
from search.cli.opening import opening
from search.cli.options import Force, Json, TrackingUri, application, command, flag, option
from search.cli.stored import Stored, on_stored_study
from search.storage import database

app = application()


@command(app)
@on_stored_study
def export(
    stored: Stored,
    trial: Annotated[int | None, option("The number of the trial.", default="the best")] = None,
    one_se: Annotated[
        bool, flag("Take the most strongly regularised trial within one standard error of the best.", "--one-se")
    ] = False,
    output: Annotated[Path, option("The file to write.", metavar="FILE")] = Path("model.safetensors"),
    force: Force = False,
    register: Annotated[
        str | None, option("Register the network as a model in MLflow too, under this name.", metavar="NAME")
    ] = None,
    tracking_uri: TrackingUri = database.DEFAULT_TRACKING,
    json_: Json = False,
) -> None:
    """Train a trial again and save its network, with its scaling, as safetensors, and its description as JSON.

    The command prints the lines of plain PyTorch that load the network. It does not read the test split.
    """
    with opening(stored["study"]):
        from search.api import load_study
        from search.export import network

        network.validate_export(output, trial, one_se=one_se)
        if register is not None:
            database.validate_databases(stored["storage"], tracking_uri)
        study = load_study(**stored)
    there = output.exists()
    result = network.export(study, output, trial, one_se=one_se, force=force)
    if there and not json_:
        print(f"{output} already exists: overwriting it", file=sys.stderr)
    uri = None if register is None else result.register(register, tracking_uri)
    if json_:
        meta = result.model.meta
        outcome = {"study": study.name, "trial": meta.trial, "val_loss": meta.val_loss}
        print(json.dumps(outcome | {"file": str(output), "registered": uri, "lines": result.lines}))
        return
    print(result)
    if uri is not None:
        print(f"\nregistered: mlflow.pytorch.load_model({uri!r})")


def main(words: list[str] | None = None) -> int:
    """Run the command line and return the exit status."""
    return serve(app, words)


if __name__ == "__main__":
    leave(main())
