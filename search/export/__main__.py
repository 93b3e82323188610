"""`regsearch export STUDY`: the chosen trial's network as a file that plain PyTorch loads, and in MLflow."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

from search.cli.command import leave, serve
from search.cli.opening import opening
from search.cli.options import (
    Force,
    Json,
    OneStandardError,
    ThresholdMetric,
    TrackingUri,
    TrialNumber,
    application,
    command,
    flag,
    option,
)
from search.cli.stored import Stored, on_stored_study
from search.errors import RequestError, clip
from search.storage import database, tracking

app = application()
FORMATS = ("safetensors", "onnx")  # those of `search.export.options`, which imports torch


@command(app)
@on_stored_study
def export(
    stored: Stored,
    trial: TrialNumber = None,
    one_se: OneStandardError = False,
    ensemble: Annotated[
        int | None,
        option("Average networks of the best trials, chosen this many times on the validation rows.", metavar="N"),
    ] = None,
    refit: Annotated[
        bool, flag("Train on training and validation rows, for the mean best epoch of the replicates.", "--refit")
    ] = False,
    calibrate: Annotated[
        bool, flag("Calibrate the probabilities by a temperature that fits the validation rows.", "--calibrate")
    ] = False,
    threshold: ThresholdMetric = None,
    output: Annotated[
        Path | None, option("The file to write.", metavar="FILE", default="model.safetensors or model.onnx")
    ] = None,
    format_: Annotated[
        str | None, option("The format of the file.", None, "--format", choices=FORMATS, default="that of its name")
    ] = None,
    force: Force = False,
    register: Annotated[
        str | None, option("Register the network as a model in MLflow too, under this name.", metavar="NAME")
    ] = None,
    tracking_uri: TrackingUri = tracking.AUTO,
    json_: Json = False,
) -> None:
    """Train a trial again and save its network, with its scaling, and its description as JSON.

    The command prints the lines that load the network without this package, by PyTorch or onnxruntime. It does not read
    the test split.
    """
    file = output or Path(f"model.{format_ or FORMATS[0]}")
    if format_ is not None and file.suffix != f".{format_}":
        raise RequestError(f"format {format_} takes an --output that ends in .{format_}, got {clip(str(file))!r}")
    with opening(stored["study"]):
        from search.api import load_study
        from search.export import network, registry
        from search.export.options import ExportOptions

        options = ExportOptions(file, trial, one_se, ensemble, refit, calibrate, force, threshold)
        options.validate()
        if register is not None:
            database.validate_databases(stored["storage"], tracking.required_uri(tracking_uri))
        study = load_study(**stored)
    there = file.exists()
    result = network.export(study, options)
    if there and not json_:
        print(f"{file} already exists: overwriting it", file=sys.stderr)
    uri = None if register is None else result.register(register, tracking_uri)
    if json_:
        meta = json.loads(result.model.meta.stored())
        outcome = {"study": study.name, "trial": meta["trial"], "val_loss": meta["val_loss"], "file": str(file)}
        outcome |= {
            name: meta[name] for name in ("members", "refit_epochs", "calibration", "threshold") if name in meta
        }
        print(json.dumps(outcome | {"notes": list(result.notes), "registered": uri, "lines": result.lines}))
        return
    print(result)
    if uri is not None:
        print(f"\nregistered: {registry.loader(result.model)}({uri!r}), now models:/{register}@champion")
        if threshold is not None and result.model.meta.preprocessor is None:
            print("the registered model returns logits, so the threshold is not part of it")


def main(words: list[str] | None = None) -> int:
    """Run the command line and return the exit status."""
    return serve(app, words)


if __name__ == "__main__":
    leave(main())
