"""`python -m search.uncertainty STUDY`: how uncertain a trial's predictions are, by Monte Carlo dropout."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from search.command import leave, serve
from search.database import DEFAULT_STORAGE
from search.errors import RequestError

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


def _option(text: str, *names: str, metavar: str | None = None) -> Any:
    return typer.Option(*names, help=text, metavar=metavar, show_default=False)


@app.command()
def uncertainty(
    study: Annotated[str, typer.Argument(help="As it was run, such as dropout, or its name, dropout-digits.")],
    trial: Annotated[int | None, _option("The trial's number (default: the best).")] = None,
    passes: Annotated[int, _option("Monte Carlo passes (default: 100).")] = 100,
    activation: Annotated[
        str | None, _option("Train it with each of these instead of its own.", metavar="A,B,C")
    ] = None,
    figure: Annotated[Path | None, _option("A PNG of points, mean and band, where there is one input.")] = None,
    dataset: Annotated[str | None, _option("That the study was run with (default: the recipe's).")] = None,
    data_dir: Annotated[Path, _option("Where torchvision keeps its data sets (default: data).")] = Path("data"),
    offline: Annotated[bool, _option("Never download.", "--offline")] = False,
    technique: Annotated[
        list[Path] | None, _option("A Python file that defines a technique; it is executed. Repeatable.")
    ] = None,
    device: Annotated[str, _option("auto, cpu or cuda (default: auto).")] = "auto",
    study_name: Annotated[str | None, _option("Default: recipe and data set, dropout-digits.")] = None,
    storage: Annotated[str, _option(f"Optuna's database (default: {DEFAULT_STORAGE}).")] = DEFAULT_STORAGE,
    json_: Annotated[bool, _option("Print one JSON object on stdout instead of a table.", "--json")] = False,
) -> None:
    """Train a trial again and sample its predictions of the validation rows, with the noise of dropout.

    The study's settings are read from its storage. Nothing is written but the figure.
    """
    if figure is not None and not figure.absolute().parent.is_dir():
        raise RequestError(f"figure: no folder {str(figure.absolute().parent)!r}")

    from search.show import uncertainty as shown
    from search.stored import find
    from search.study import Study

    name, recipe = find(storage, study, study_name=study_name, dataset=dataset)
    made = Study(
        recipe, study_name=name, storage=storage, tracking_uri=None, device=device,
        data_dir=data_dir, offline=offline, techniques=technique or (),
    )  # fmt: skip
    if figure is not None:
        from search.show.bands import check

        check(made)
    found = made.uncertainty(trial, passes=passes, activations=activation.split(",") if activation else ())
    if figure is not None:
        from search.show.bands import draw

        draw(found, figure)
    print(json.dumps(found.outcome(), allow_nan=False) if json_ else shown.render(found))


def main(words: list[str] | None = None) -> int:
    """The command line; returns the exit status."""
    return serve(app, words)


if __name__ == "__main__":
    leave(main())
