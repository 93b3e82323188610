"""`python -m search.export STUDY`: the chosen trial's network as a file that plain PyTorch loads, and in MLflow."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

from search.command import leave, serve
from search.database import DEFAULT_STORAGE, DEFAULT_TRACKING
from search.errors import RequestError
from search.options import (
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
    output = output or Path("model.safetensors")
    if output.suffix != ".safetensors":
        raise RequestError(f"output takes a name that ends in .safetensors, got {str(output)!r}")
    if not output.absolute().parent.is_dir():
        raise RequestError(f"output: no folder {str(output.absolute().parent)!r}")
    if one_se and trial is not None:
        raise RequestError("takes either --trial or --one-se, not both")

    from search import database, exported
    from search.model_file import save
    from search.stored import reopened
    from search.trained import trained

    if register is not None:
        database.check_places(storage, tracking_uri)
    made = reopened(
        storage, study, study_name=study_name, dataset=dataset,
        data_dir=data_dir, offline=offline, techniques=technique or (), device=device,
    )  # fmt: skip
    model = trained(made, exported.one_standard_error(made) if one_se else trial)
    save(output, model)
    described = output.with_suffix(".json")
    described.write_text(model.meta.model_dump_json(indent=2) + "\n")
    uri = None
    if register is not None:
        rows = made.data.inputs.invert(made.data.x_train[:8])
        uri = exported.register(model, f"{made.name}/{model.meta.trial}", register, tracking_uri, rows)
    lines = exported.lines(model, str(output))
    if json_:
        found = {"study": made.name, "trial": model.meta.trial, "val_loss": model.meta.val_loss}
        print(json.dumps(found | {"file": str(output), "registered": uri, "lines": lines}))
        return
    print(f"trial {model.meta.trial} of {made.name}, val_loss {model.meta.val_loss:.4g}: {output}, {described}")
    if uri is not None:
        print(f"registered: mlflow.pytorch.load_model({uri!r})")
    print("to load it, and predict `rows` as they are in the data:\n")
    print("\n".join(f"    {line}" for line in lines))


def main(words: list[str] | None = None) -> int:
    """The command line; returns the exit status."""
    return serve(app, words)


if __name__ == "__main__":
    leave(main())
