"""What the command lines share: the application, the panels of their help, and the options that several take."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from search.cli import names
from search.errors import unknown

DATA, SEARCH, NETWORK, MACHINE, RECORDS = "Data", "Search", "Network", "Where it runs", "Records"
"""The panels of the help."""
DEVICES = ("auto", "cpu", "cuda")


def application(group: type[TyperGroup] | None = None) -> typer.Typer:
    """Return a Typer application with the settings of this package; `search.cli.command.serve` reports its errors.

    Args:
        group: the class of a group of several commands, for which a shell's completion can be installed.
    """
    return typer.Typer(
        cls=group, add_completion=group is not None, pretty_exceptions_enable=False, rich_markup_mode="rich"
    )


Function = Callable[..., Any]


def command(app: typer.Typer, name: str | None = None, panel: str | None = None) -> Callable[[Function], Function]:
    """Return the decorator that makes a function the command of an application; its docstring is the help."""

    def register(function: Function) -> Function:
        # Typer keeps the line breaks of all paragraphs but the first.
        paragraphs = inspect.cleandoc(function.__doc__ or "").split("\n\n")
        text = "\n\n".join(" ".join(escaped(paragraph).split()) for paragraph in paragraphs)
        return app.command(name, rich_help_panel=panel, help=text)(function)

    return register


def option(
    text: str,
    panel: str | None = None,
    *names: str,
    metavar: str | None = None,
    default: str | bool = True,
    choices: Sequence[str] = (),
    other: str | None = None,
) -> Any:
    """Return a command's option.

    Args:
        text: the help.
        panel: the panel of the help that lists it.
        names: its names, such as ``--seed``; default: that of the parameter.
        metavar: the word that stands for its value in the help.
        default: whether the help shows the default, or the words for a default that depends on other things.
        choices: the allowed values. The shell completes them, and the error for another value names the nearest one.
        other: a regular expression of further values that are allowed.
    """
    return typer.Option(
        *names,
        help=escaped(f"{text} {_listed(choices)}" if choices else text),
        metavar="NAME" if choices else metavar,
        show_default=default,
        rich_help_panel=panel,
        callback=_one_of(choices, other) if choices else None,
        autocompletion=(lambda: list(choices)) if choices else None,
    )


def flag(text: str, name: str, panel: str | None = None) -> Any:
    """Return an option that takes no value."""
    return option(text, panel, name, metavar="")


def argument(text: str, metavar: str, complete: Callable[[], list[str]] | None = None) -> Any:
    """Return a command's argument, which the shell completes with what `complete` returns."""
    return typer.Argument(help=escaped(text), metavar=metavar, autocompletion=complete)


def escaped(text: str) -> str:
    """Return a text whose brackets Rich does not take for markup."""
    return text.replace("[", r"\[")


def _listed(choices: Sequence[str]) -> str:
    """Return ``[tpe|random|grid]``; a long list has a space in its middle, where a narrow terminal can break it."""
    half = len(choices) // 2
    parts = ["|".join(choices)] if len("|".join(choices)) < 40 else ["|".join(choices[:half]), "|".join(choices[half:])]
    return f"[{'| '.join(parts)}]"


def _one_of(choices: Sequence[str], other: str | None) -> Callable[[typer.CallbackParam, str | None], str | None]:
    def validate(param: typer.CallbackParam, value: str | None) -> str | None:
        if value is not None and value not in choices and not (other and re.fullmatch(other, value)):
            raise unknown((param.name or "value").replace("_", " "), value, choices)
        return value

    return validate


Dataset = Annotated[
    str | None,
    option(
        "The data set that the study was run with, or the path where it is now.",
        DATA,
        "--dataset",
        default="the recipe's",
    ),
]
Target = Annotated[
    str | None,
    option("The column of a table to predict.", DATA, "--target", metavar="COLUMN", default="the recipe's"),
]
DataOptions = Annotated[
    list[str] | None,
    option("An option of the data set, such as n, task or drop. Repeatable.", DATA, metavar="NAME=VALUE"),
]
Columns = Annotated[
    list[str] | None,
    option(
        "What a column of a table holds: number, category, date, time, or drop to leave it out. Repeatable.",
        DATA,
        "--column",
        metavar="NAME=KIND",
    ),
]
DataDir = Annotated[Path, option("The folder where torchvision keeps its data sets.", DATA, "--data-dir")]
Offline = Annotated[bool, flag("Never download a data set.", "--offline", DATA)]
Techniques = Annotated[
    list[Path] | None,
    option(
        "A Python file that defines a technique. The file is executed. Repeatable.",
        SEARCH,
        "--technique",
        metavar="FILE",
    ),
]
MetricFiles = Annotated[
    list[Path] | None,
    option(
        "A Python file that defines a metric. The file is executed. Repeatable.",
        SEARCH,
        "--metric",
        metavar="FILE",
    ),
]
Device = Annotated[
    str,
    option(
        "The device that trains, or one of several GPUs, as in cuda:1.",
        MACHINE,
        "--device",
        choices=DEVICES,
        other=r"cuda:\d+",
    ),
]
StudyName = Annotated[
    str | None,
    option(
        "The name of the study in its storage.",
        RECORDS,
        "--study-name",
        metavar="NAME",
        default="recipe-dataset, such as l2-digits",
    ),
]
Storage = Annotated[str, option("The URL of Optuna's database.", RECORDS, "--storage", metavar="URL")]
_TRACKING = "MLFLOW_TRACKING_URI, or sqlite:///mlflow.db"
TrackingUri = Annotated[
    str, option("The tracking URI of MLflow.", RECORDS, "--tracking-uri", metavar="URI", default=_TRACKING)
]
TrackingUriOrNone = Annotated[
    str,
    option(
        "The tracking URI of MLflow, or none for no MLflow.",
        RECORDS,
        "--tracking-uri",
        metavar="URI",
        default=_TRACKING,
    ),
]
Experiment = Annotated[
    str | None,
    option(
        "MLflow's experiment for the runs.",
        RECORDS,
        "--experiment",
        metavar="NAME",
        default="MLFLOW_EXPERIMENT_NAME, or regsearch",
    ),
]
Json = Annotated[bool, flag("Print one JSON object on stdout instead of text.", "--json", RECORDS)]
Force = Annotated[bool, flag("Overwrite a file that holds something else.", "--force", RECORDS)]
TrialNumber = Annotated[int | None, option("The number of the trial.", default="the best")]
OneStandardError = Annotated[
    bool, flag("Take the most strongly regularised trial within one standard error of the best.", "--one-se")
]
ThresholdMetric = Annotated[
    str | None,
    option(
        "Decide between two classes by the threshold that is best for this metric of the validation rows: accuracy,"
        " balanced_accuracy, f1 or mcc.",
        metavar="METRIC",
        default="the more probable class",
    ),
]
StudyWord = Annotated[
    str,
    argument("A study's name, such as l2-digits, or the recipe that it was run with.", "STUDY", names.complete_study),
]
StudyOrModelWord = Annotated[
    str,
    argument(
        "A study's name, such as l2-digits, or a model file that `export` wrote.",
        "STUDY|MODEL.safetensors",
        names.complete_study,
    ),
]
