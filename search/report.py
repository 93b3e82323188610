"""`python -m search.report STUDY`: a study's record as one page that opens offline, and its figures as files."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from search.command import serve
from search.database import DEFAULT_STORAGE

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


def _option(text: str, *names: str, metavar: str | None = None) -> Any:
    return typer.Option(*names, help=text, metavar=metavar, show_default=False)


@app.command()
def report(
    study: Annotated[str, typer.Argument(help="As it was run, such as l2, or its name, l2-digits.")],
    output: Annotated[Path | None, _option("The folder to write (default: report-NAME).")] = None,
    training: Annotated[
        bool | None,
        _option("Train networks again for weights and test split (default: if quick).", "--training/--no-training"),
    ] = None,
    dataset: Annotated[str | None, _option("That the study was run with (default: the recipe's).")] = None,
    data_dir: Annotated[Path, _option("Where torchvision keeps its data sets (default: data).")] = Path("data"),
    offline: Annotated[bool, _option("Never download.", "--offline")] = False,
    technique: Annotated[
        list[Path] | None, _option("A Python file that defines a technique; it is executed. Repeatable.")
    ] = None,
    device: Annotated[str, _option("auto, cpu or cuda (default: auto).")] = "auto",
    study_name: Annotated[str | None, _option("Default: recipe and data set, l2-digits.")] = None,
    storage: Annotated[str, _option(f"Optuna's database (default: {DEFAULT_STORAGE}).")] = DEFAULT_STORAGE,
    json_: Annotated[bool, _option("Print one JSON object on stdout instead of text.", "--json")] = False,
) -> None:
    """Write a page with a study's figures and what they say, and each figure as PNG and SVG.

    The test split is read for the best trial where its networks are trained again; the study counts each reading.
    """
    from search.stored import find
    from search.study import Study

    name, recipe = find(storage, study, study_name=study_name, dataset=dataset)
    made = Study(
        recipe, study_name=name, storage=storage, tracking_uri=None, device=device,
        data_dir=data_dir, offline=offline, techniques=technique or (),
    )  # fmt: skip

    from search.show.report import build

    written = build.write(made, output or Path(build.folder_name(name)), training=training)
    if json_:
        print(json.dumps(build.outcome(made, written), allow_nan=False))
    else:
        print(build.told(written))


def main(words: list[str] | None = None) -> int:
    """The command line; returns the exit status."""
    return serve(app, words)


if __name__ == "__main__":
    sys.exit(main())
