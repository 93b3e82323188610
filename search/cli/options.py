"""What the commands' lines have in common: the application, and the options of studies, each written once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from search.storage.database import DEFAULT_STORAGE, DEFAULT_TRACKING


def application() -> typer.Typer:
    """A command line as every command here has it: its errors are told by `search.cli.command.serve`."""
    return typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


def option(text: str, *names: str, metavar: str | None = None) -> Any:
    """A command's option; its default is part of the text."""
    return typer.Option(*names, help=text, metavar=metavar, show_default=False)


Stored = Annotated[str, typer.Argument(help="As it was run, such as l2, or its name, l2-digits.")]
Dataset = Annotated[str | None, option("That the study was run with (default: the recipe's).", "--dataset")]
DataDir = Annotated[Path, option("Where torchvision keeps its data sets (default: data).", "--data-dir")]
Offline = Annotated[bool, option("Never download.", "--offline")]
Techniques = Annotated[
    list[Path] | None,
    option("A Python file that defines a technique; it is executed. Repeatable.", "--technique"),
]
Device = Annotated[str, option("auto, cpu or cuda (default: auto).", "--device")]
StudyName = Annotated[str | None, option("Default: recipe and data set, l2-digits.", "--study-name")]
Storage = Annotated[str, option(f"Optuna's database (default: {DEFAULT_STORAGE}).", "--storage")]
TrackingUri = Annotated[str, option(f"MLflow's (default: {DEFAULT_TRACKING}).", "--tracking-uri")]
Json = Annotated[bool, option("Print one JSON object on stdout instead of text.", "--json")]
