"""`regsearch run STUDY`: search a recipe's space and leave every trial in the study and in MLflow."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args

import typer

from search.cli import invocation, names
from search.cli.command import leave, serve
from search.cli.opening import opening
from search.cli.options import (
    DATA,
    MACHINE,
    NETWORK,
    SEARCH,
    DataDir,
    Device,
    Json,
    Offline,
    Storage,
    StudyName,
    Target,
    Techniques,
    TrackingUriOrNone,
    application,
    argument,
    command,
    flag,
    option,
)
from search.cli.values import given, pairs, parse_range, parse_slots, parse_value, parse_values
from search.errors import RequestError
from search.recipe import Recipe
from search.recipe.schema import DataSet, LossName, PrecisionName, PrunerName, SamplerName, ScaleName
from search.storage.database import DEFAULT_STORAGE, DEFAULT_TRACKING, shown
from search.storage.fields import Part
from search.workers.orders import ENGINES

if TYPE_CHECKING:
    from search.api import Study
    from search.study.runner import RunOptions

_DATASET = "A data set such as digits or mnist, or the path of a .csv, .parquet or .npz file or a folder of images."


def _or(default: object) -> str:
    """Return how the help describes a default that the recipe may give."""
    return f"the recipe's, or {default}"


def _default(field: str, table: type[Part] = Recipe) -> str:
    value = table.model_fields[field].default
    return _or(getattr(value, "name", None) or (",".join(value) if isinstance(value, tuple) else value))


app = application()


@command(app)
def run(
    context: typer.Context,
    study: Annotated[
        str, argument("A recipe's name, the path of a .toml file, or techniques joined by '+'.", "STUDY", names.recipes)
    ],
    dataset: Annotated[
        str | None,
        option(_DATASET, DATA, metavar="NAME|PATH", default=_default("dataset", DataSet)),
    ] = None,
    target: Target = None,
    scale: Annotated[
        str | None,
        option("The scaling of the features.", DATA, choices=get_args(ScaleName), default=_default("scale", DataSet)),
    ] = None,
    data: Annotated[
        list[str] | None,
        option("An option of the data set: n, sigma, task or drop. Repeatable.", DATA, metavar="NAME=VALUE"),
    ] = None,
    data_dir: DataDir = Path("data"),
    offline: Offline = False,
    trials: Annotated[
        int | None,
        option("The total number of trials; a larger one extends the study.", SEARCH, default=_default("trials")),
    ] = None,
    timeout: Annotated[
        float | None, option("Seconds after which the search stops. Run again to go on.", SEARCH, metavar="SECONDS")
    ] = None,
    sampler: Annotated[
        str | None,
        option("The sampler that proposes trials.", SEARCH, choices=get_args(SamplerName), default=_default("sampler")),
    ] = None,
    pruner: Annotated[
        str | None,
        option("The pruner that stops bad trials.", SEARCH, choices=get_args(PrunerName), default=_default("pruner")),
    ] = None,
    objective: Annotated[
        str | None,
        option(
            "One objective, or several for their Pareto front, such as val_loss,sparsity.",
            SEARCH,
            metavar="NAMES",
            default=_default("objective"),
        ),
    ] = None,
    set_: Annotated[
        list[str] | None,
        option("Fix a hyperparameter, as in lr=0.01. Repeatable.", SEARCH, "--set", metavar="NAME=VALUE"),
    ] = None,
    space: Annotated[
        list[str] | None,
        option("Search over LOW:HIGH, LOW:HIGH:log or A,B,C. Repeatable.", SEARCH, metavar="NAME=RANGE"),
    ] = None,
    extend: Annotated[
        bool, flag("If the best trial lies at the edge of a range, widen the range and go on.", "--extend", SEARCH)
    ] = False,
    replicates: Annotated[
        int | None,
        option("The number of seeds that each trial is trained with.", SEARCH, default=_default("replicates")),
    ] = None,
    seed: Annotated[
        int | None, option("The seed of the study's random draws.", SEARCH, default=_default("seed"))
    ] = None,
    grid_points: Annotated[
        int | None,
        option("The number of values that a grid takes from a range.", SEARCH, default=_default("grid_points")),
    ] = None,
    ask_batch: Annotated[
        int | None, option("The number of trials that are asked together.", SEARCH, default=_or("the sampler's"))
    ] = None,
    technique: Techniques = None,
    hidden: Annotated[
        str | None,
        option("The widths of the hidden layers; 0 for none.", NETWORK, metavar="WIDTHS", default=_or("128,128")),
    ] = None,
    batch_size: Annotated[int | None, option("The number of rows of a minibatch.", NETWORK, default=_or(128))] = None,
    epochs: Annotated[int | None, option("The number of epochs of a trial.", NETWORK, default=_or(100))] = None,
    loss: Annotated[
        str | None,
        option("The training loss.", NETWORK, choices=get_args(LossName), default=_or("the task's")),
    ] = None,
    precision: Annotated[
        str | None,
        option(
            "The number format of matrix products.",
            NETWORK,
            choices=get_args(PrecisionName),
            default=_default("precision"),
        ),
    ] = None,
    check: Annotated[
        bool, flag("Only check whether the network can overfit one batch, and if not, say why.", "--check", NETWORK)
    ] = False,
    device: Device = "auto",
    slots: Annotated[
        str, option("The largest number of networks that train as one, or auto.", MACHINE, metavar="N|auto")
    ] = "auto",
    workers: Annotated[
        int, option("Processes that share the work. Each takes a GPU or a share of the cores.", MACHINE)
    ] = 1,
    engine: Annotated[
        str, option("Where the workers run: on this machine or in a Ray cluster.", MACHINE, choices=ENGINES)
    ] = "local",
    address: Annotated[
        str | None, option("The address of the Ray cluster.", MACHINE, metavar="HOST:PORT", default="auto")
    ] = None,
    checkpoint: Annotated[
        bool,
        flag("Save the trials in training at each rung, in checkpoints/, to resume them.", "--checkpoint", MACHINE),
    ] = False,
    study_name: StudyName = None,
    storage: Storage = DEFAULT_STORAGE,
    tracking_uri: TrackingUriOrNone = DEFAULT_TRACKING,
    json_: Json = False,
) -> int:
    """Search for the best hyperparameters of a study.

    Many trials train together. They are pruned among their peers, and every curve is recorded. Run the same
    command again to go on after an interruption, or with a larger --trials to extend the study.
    """
    started = time.monotonic()
    shortcuts = {"hidden": hidden, "batch_size": batch_size, "epochs": epochs}
    fixed = {name: parse_value(value) for name, value in pairs("--set", set_ or ()).items()} | given(shortcuts)
    ranges = {name: parse_range(name, text) for name, text in pairs("--space", space or (), "NAME=RANGE").items()}
    options = {name: parse_values(value) for name, value in pairs("--data", data or ()).items()}
    changes: dict[str, Any] = {
        "objective": [name.strip() for name in objective.split(",")] if objective is not None else None,
        "sampler": sampler,
        "grid_points": grid_points,
        "ask_batch": ask_batch,
        "replicates": replicates,
        "seed": seed,
        "loss": loss,
        "precision": precision,
        "set": fixed or None,
        "space": ranges or None,
        "pruner": {"name": pruner} if pruner is not None else None,
        "data": given({"dataset": dataset, "target": target, "scale": scale, "options": options or None}) or None,
    }

    # The recipe's fields are validated here, before torch is imported.
    recipe = Recipe.load(study)
    recipe.but(recipe.name, **given(changes))

    with opening(study):
        from search.api import Study
        from search.study.runner import RunOptions, validate_run

    searched = Study(
        recipe,
        data_dir=data_dir,
        offline=offline,
        study_name=study_name,
        storage=storage,
        tracking_uri=tracking_uri,
        device=device,
        slots=parse_slots(slots),
        checkpoint=checkpoint,
        techniques=technique or (),
        **given(changes),
    )
    # Validated before the study is opened, because opening writes: a wrong budget leaves nothing behind.
    run_options = RunOptions(timeout, extend, workers, engine, address)
    validate_run(searched, trials, run_options)
    if check:
        return _check(searched, started, as_json=json_)
    _open(searched, context.obj if context.parent is None else context.obj[1:])
    _go(searched, searched.budget(trials), started, run_options, as_json=json_)
    return 0


def _check(study: Study, started: float, *, as_json: bool) -> int:
    """Run the overfit check; return 1 if the study does not pass it."""
    from search.check.check import check

    result = check(study)
    outcome = result.outcome() | {"seconds": round(time.monotonic() - started, 3)}
    print(json.dumps(outcome, allow_nan=False) if as_json else result)
    return 0 if result.fitted else 1


def _open(study: Study, words: Sequence[str]) -> None:
    """Open the study.

    Raises:
        RequestError: the name belongs to another study; the message ends with the command that makes a new one.
    """
    from search.study import lookup
    from search.study.identity import Mismatch, free_name

    try:
        _ = study.optuna_study
    except Mismatch as mismatch:
        name = free_name(mismatch.study, lookup.names(study.storage))
        kept = [word for word in words if not word.startswith("--study-name=")]
        if "--study-name" in kept:
            place = kept.index("--study-name")
            del kept[place : place + 2]
        kept = [shown(word) if "://" in word else word for word in kept]
        again = invocation.command("run", f"--study-name={name}", *kept)
        raise RequestError(f"{mismatch}; to make a new study: {again}") from None


def _go(study: Study, budget: int, started: float, options: RunOptions, *, as_json: bool) -> None:
    """Run the study, then print its results."""
    from search.study import published, results

    for note in study.notes():
        print(f"note: {note}", file=sys.stderr)
    before = results.count_finished(study)
    study.run(budget, **asdict(options))
    if before >= study.budget(budget):
        why = (
            "the best trial lies at no edge that can be moved" if options.extend else "give a larger --trials to go on"
        )
        print(f"study {study.name} already has its {budget} trials: nothing to train ({why})", file=sys.stderr)
    outcome = results.outcome(study, seconds=time.monotonic() - started)
    if as_json:
        print(json.dumps(outcome | published.outcome(study), allow_nan=False))
    else:
        print(results.render(study, outcome))
        if figures := published.render(study):
            print(f"\n{figures}")
    for line in study.extended.warnings(study.optuna_study.get_trials(deepcopy=False)):
        print(f"warning: {line}", file=sys.stderr)


def main(words: list[str] | None = None) -> int:
    """Run the command line and return the exit status."""
    return serve(app, words)


if __name__ == "__main__":
    leave(main())
