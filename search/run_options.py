"""The options of `regsearch run`: the help, the panel and the default of each."""

from __future__ import annotations

from typing import Annotated, get_args

from search.cli import names
from search.cli.options import DATA, MACHINE, NETWORK, SEARCH, argument, flag, option
from search.recipe import Recipe
from search.recipe.schema import DataSet, LossName, PrecisionName, PrunerName, SamplerName, ScaleName
from search.storage.fields import Part
from search.workers.orders import ENGINES

_DATASET = "A data set such as digits or mnist, or the path of a .csv, .parquet or .npz file or a folder of images."


def _or(default: object) -> str:
    """Return how the help describes a default that the recipe may give."""
    return f"the recipe's, or {default}"


def _default(field: str, table: type[Part] = Recipe) -> str:
    value = table.model_fields[field].default
    return _or(getattr(value, "name", None) or (",".join(value) if isinstance(value, tuple) else value))


_FIELDS = {
    "data.dataset": "--dataset",
    "data.target": "--target",
    "data.seed": "--split-seed",
    "data.folds": "--folds",
    "data.repeats": "--repeats",
    "data.columns.": "--column ",
    "data.options.": "--data ",
    "replicates": "--replicates",
    "tolerance": "--tolerance",
    "ask_batch": "--ask-batch",
    "grid_points": "--grid-points",
    "until": "--until",
    "seed": "--seed",
    "one_of": "--one-of",
}


def in_options(message: str, recipe: str) -> str:
    """Return an error about a field that an option has changed, with the option in place of the field.

    >>> in_options("l2: data.seed: input should be greater than or equal to 0, got -1", "l2")
    '--split-seed: input should be greater than or equal to 0, got -1'
    """
    said = message.removeprefix(f"{recipe}: ")
    for field, option_ in _FIELDS.items():
        for before in ("", "unknown "):
            if said.startswith(before + field):
                return before + option_ + said.removeprefix(before + field)
    return message


RecipeWord = Annotated[
    str, argument("A recipe's name, the path of a .toml file, or techniques joined by '+'.", "STUDY", names.recipes)
]
NewDataset = Annotated[
    str | None,
    option(_DATASET, DATA, metavar="NAME|PATH", default=_default("dataset", DataSet)),
]
Scale = Annotated[
    str | None,
    option("The scaling of the features.", DATA, choices=get_args(ScaleName), default=_default("scale", DataSet)),
]
Test = Annotated[
    str | None,
    option(
        "The test rows: a file with the same columns, a fraction of all rows, or 0 for none.",
        DATA,
        metavar="FILE|FRACTION|0",
        default=_or("0.2"),
    ),
]
Val = Annotated[
    str | None,
    option(
        "The validation rows: a file with the same columns, or a fraction of all rows.",
        DATA,
        metavar="FILE|FRACTION",
        default=_or("0.2"),
    ),
]
SplitSeed = Annotated[int | None, option("The seed of the split.", DATA, default=_default("seed", DataSet))]
Group = Annotated[
    str | None,
    option("A column whose equal values are a group: its rows stay in one part.", DATA, metavar="COLUMN"),
]
Time = Annotated[
    str | None,
    option("A column of times: the earliest rows train, the latest test.", DATA, metavar="COLUMN"),
]
Weights = Annotated[
    str | None,
    option("A column of row weights, used in the loss and in metrics.", DATA, metavar="COLUMN"),
]
Folds = Annotated[
    int | None,
    option(
        "The folds of a cross-validation of the rows that are no test rows; 0 for one split.",
        DATA,
        default=_default("folds", DataSet),
    ),
]
Repeats = Annotated[
    int | None, option("How often the rows are split into folds.", DATA, default=_default("repeats", DataSet))
]
Trials = Annotated[
    int | None,
    option("The total number of trials; a larger one extends the study.", SEARCH, default=_default("trials")),
]
Until = Annotated[
    str | None,
    option(
        "Stop when less than this share of the best value is left to gain, as in 0.1%; --trials is the most.",
        SEARCH,
        metavar="SHARE",
        default=_or("none"),
    ),
]
Timeout = Annotated[
    float | None, option("Seconds after which the search stops. Run again to go on.", SEARCH, metavar="SECONDS")
]
Sampler = Annotated[
    str | None,
    option("The sampler that proposes trials.", SEARCH, choices=get_args(SamplerName), default=_default("sampler")),
]
Pruner = Annotated[
    str | None,
    option("The pruner that stops bad trials.", SEARCH, choices=get_args(PrunerName), default=_default("pruner")),
]
Objective = Annotated[
    str | None,
    option(
        "The metric to optimise, such as val_loss or val_f1, or several for their Pareto front.",
        SEARCH,
        metavar="NAMES",
        default=_default("objective"),
    ),
]
Metrics = Annotated[
    str | None,
    option(
        "Metrics that are also measured each epoch, such as val_f1,val_roc_auc.",
        SEARCH,
        metavar="NAMES",
        default=_or("none"),
    ),
]
Fixed = Annotated[
    list[str] | None,
    option("Fix a hyperparameter, as in lr=0.01. Repeatable.", SEARCH, "--set", metavar="NAME=VALUE"),
]
Space = Annotated[
    list[str] | None,
    option(
        "Search over LOW:HIGH, LOW:HIGH:log or A,B,C; with off, as in l2=off,1e-6:0.1:log, some trials leave it off."
        " Repeatable.",
        SEARCH,
        metavar="NAME=RANGE",
    ),
]
Enqueue = Annotated[
    list[str] | None,
    option(
        "Begin the search with a trial of these values, as in l2=1e-3,lr=0.01. Repeatable.",
        SEARCH,
        metavar="NAME=VALUE,...",
    ),
]
FromStudies = Annotated[
    list[str] | None,
    option(
        "Begin with the best settings of an earlier study in the same storage, and draw the first trials by it."
        " Repeatable.",
        SEARCH,
        "--from",
        metavar="STUDY",
    ),
]
Constraints = Annotated[
    list[str] | None,
    option(
        "A condition that a trial must meet to be chosen, as in sparsity>0.5 or parameters<=50000. Repeatable.",
        SEARCH,
        "--constraint",
        metavar="METRIC>NUMBER",
        default=_or("none"),
    ),
]
OneOf = Annotated[
    list[str] | None,
    option(
        "Use one of several techniques in each trial, as in augment=cutmix,cutout,none. Repeatable.",
        SEARCH,
        "--one-of",
        metavar="GROUP=NAMES",
    ),
]
Extend = Annotated[
    bool, flag("If the best trial lies at the edge of a range, widen the range and go on.", "--extend", SEARCH)
]
Replicates = Annotated[
    str | None,
    option(
        "The number of seeds that each trial is trained with; auto trains one, and more for those trials only that may"
        " be the best.",
        SEARCH,
        metavar="N|auto",
        default=_default("replicates"),
    ),
]
Tolerance = Annotated[
    float | None,
    option(
        "With --replicates auto, the difference between trials that does not matter, as a share of the objective.",
        SEARCH,
        metavar="SHARE",
        default=_default("tolerance"),
    ),
]
Seed = Annotated[int | None, option("The seed of the study's random draws.", SEARCH, default=_default("seed"))]
GridPoints = Annotated[
    int | None,
    option("The number of values that a grid takes from a range.", SEARCH, default=_default("grid_points")),
]
AskBatch = Annotated[
    int | None, option("The number of trials that are asked together.", SEARCH, default=_or("the sampler's"))
]
Hidden = Annotated[
    str | None,
    option("The widths of the hidden layers; 0 for none.", NETWORK, metavar="WIDTHS", default=_or("128,128")),
]
BatchSize = Annotated[int | None, option("The number of rows of a minibatch.", NETWORK, default=_or(128))]
Epochs = Annotated[int | None, option("The number of epochs of a trial.", NETWORK, default=_or(100))]
Loss = Annotated[
    str | None,
    option("The training loss.", NETWORK, choices=get_args(LossName), default=_or("the task's")),
]
Precision = Annotated[
    str | None,
    option(
        "The number format of matrix products.",
        NETWORK,
        choices=get_args(PrecisionName),
        default=_default("precision"),
    ),
]
Check = Annotated[
    bool, flag("Only check whether the network can overfit one batch, and if not, say why.", "--check", NETWORK)
]
Slots = Annotated[str, option("The largest number of networks that train as one, or auto.", MACHINE, metavar="N|auto")]
Workers = Annotated[int, option("Processes that share the work. Each takes a GPU or a share of the cores.", MACHINE)]
Engine = Annotated[str, option("Where the workers run: on this machine or in a Ray cluster.", MACHINE, choices=ENGINES)]
Address = Annotated[
    str | None,
    option(
        "The address of the Ray cluster, or auto for the one that this machine belongs to.",
        MACHINE,
        metavar="HOST:PORT",
        default="auto, or Ray is started here",
    ),
]
Checkpoint = Annotated[
    bool,
    flag("Save the trials in training at each rung, in checkpoints/, to resume them.", "--checkpoint", MACHINE),
]
