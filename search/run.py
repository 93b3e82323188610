"""`regsearch run STUDY`: search a recipe's space and leave every trial in the study and in MLflow."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

import typer

from search.cli.command import leave, serve
from search.cli.opening import opening
from search.cli.options import (
    Columns,
    DataDir,
    DataOptions,
    Device,
    Experiment,
    Json,
    MetricFiles,
    Offline,
    Storage,
    StudyName,
    Target,
    Techniques,
    TrackingUriOrNone,
    application,
    command,
)
from search.cli.values import given, pairs, parse_range, parse_setting, parse_slots, parse_value, parse_values
from search.errors import RequestError
from search.recipe import Recipe
from search.run_options import (
    Address,
    AskBatch,
    BatchSize,
    Check,
    Checkpoint,
    Constraints,
    Engine,
    Enqueue,
    Epochs,
    Extend,
    Fixed,
    Folds,
    FromStudies,
    GridPoints,
    Group,
    Hidden,
    Loss,
    Metrics,
    NewDataset,
    Objective,
    OneOf,
    Precision,
    Pruner,
    RecipeWord,
    Repeats,
    Replicates,
    Sampler,
    Scale,
    Seed,
    Slots,
    Space,
    SplitSeed,
    Test,
    Time,
    Timeout,
    Tolerance,
    Trials,
    Until,
    Val,
    Weights,
    Workers,
    in_options,
)
from search.storage.database import DEFAULT_STORAGE
from search.storage.tracking import AUTO
from search.train.metrics.objective import validate_names

if TYPE_CHECKING:
    from search.api import Study
    from search.study.runner import RunOptions

app = application()


@command(app)
def run(
    context: typer.Context,
    study: RecipeWord,
    dataset: NewDataset = None,
    target: Target = None,
    scale: Scale = None,
    data: DataOptions = None,
    column: Columns = None,
    test: Test = None,
    val: Val = None,
    split_seed: SplitSeed = None,
    group: Group = None,
    time: Time = None,
    weights: Weights = None,
    folds: Folds = None,
    repeats: Repeats = None,
    data_dir: DataDir = Path("data"),
    offline: Offline = False,
    trials: Trials = None,
    until: Until = None,
    timeout: Timeout = None,
    sampler: Sampler = None,
    pruner: Pruner = None,
    objective: Objective = None,
    metrics: Metrics = None,
    metric: MetricFiles = None,
    set_: Fixed = None,
    space: Space = None,
    one_of: OneOf = None,
    enqueue: Enqueue = None,
    from_: FromStudies = None,
    constraint: Constraints = None,
    extend: Extend = False,
    replicates: Replicates = None,
    tolerance: Tolerance = None,
    seed: Seed = None,
    grid_points: GridPoints = None,
    ask_batch: AskBatch = None,
    technique: Techniques = None,
    hidden: Hidden = None,
    batch_size: BatchSize = None,
    epochs: Epochs = None,
    loss: Loss = None,
    precision: Precision = None,
    check: Check = False,
    device: Device = "auto",
    slots: Slots = "auto",
    workers: Workers = 1,
    engine: Engine = "local",
    address: Address = None,
    checkpoint: Checkpoint = False,
    study_name: StudyName = None,
    storage: Storage = DEFAULT_STORAGE,
    tracking_uri: TrackingUriOrNone = AUTO,
    experiment: Experiment = None,
    json_: Json = False,
) -> int:
    """Search for the best hyperparameters of a study.

    Many trials train together. They are pruned among their peers, and every curve is recorded. Run the same
    command again to go on after an interruption, or with a larger --trials to extend the study.
    """
    started = monotonic()
    shortcuts = {"hidden": hidden, "batch_size": batch_size, "epochs": epochs}
    fixed = {name: parse_value(value) for name, value in pairs("--set", set_ or ()).items()} | given(shortcuts)
    ranges = {name: parse_range(name, text) for name, text in pairs("--space", space or (), "NAME=RANGE").items()}
    options = {name: parse_values(value) for name, value in pairs("--data", data or ()).items()}
    changes: dict[str, Any] = {
        "objective": _names(objective),
        "metrics": _names(metrics),
        "until": until,
        "sampler": sampler,
        "grid_points": grid_points,
        "ask_batch": ask_batch,
        "replicates": None if replicates is None else parse_value(replicates),
        "tolerance": tolerance,
        "seed": seed,
        "loss": loss,
        "precision": precision,
        "set": fixed or None,
        "space": ranges or None,
        "one_of": {name: _names(text) for name, text in pairs("--one-of", one_of or (), "GROUP=NAMES").items()} or None,
        "constraints": constraint or None,
        "enqueue": [parse_setting(text) for text in enqueue or ()] or None,
        "pruner": {"name": pruner} if pruner is not None else None,
        "data": given(
            {
                "dataset": dataset,
                "target": target,
                "scale": scale,
                "test": None if test is None else parse_value(test),
                "val": None if val is None else parse_value(val),
                "seed": split_seed,
                "group": group,
                "time": time,
                "weights": weights,
                "folds": folds,
                "repeats": repeats,
                "options": options or None,
                "columns": pairs("--column", column or (), "NAME=KIND") or None,
            }
        )
        or None,
    }

    # The recipe's fields are validated here, before torch is imported.
    recipe = Recipe.load(study)
    try:
        changed = recipe.but(recipe.name, **given(changes))
    except RequestError as error:
        raise RequestError(in_options(str(error), recipe.name)) from None
    if not metric:
        validate_names(changed.objective, changed.metrics)

    with opening(study):
        from search.api import Study
        from search.study.renamed import open_study
        from search.study.runner import RunOptions, validate_run

    searched = Study(
        recipe,
        data_dir=data_dir,
        offline=offline,
        study_name=study_name,
        storage=storage,
        tracking_uri=tracking_uri,
        experiment=experiment,
        device=device,
        slots=parse_slots(slots),
        checkpoint=checkpoint,
        techniques=technique or (),
        from_studies=from_ or (),
        metrics=[*(changes.pop("metrics") or ()), *(metric or ())],
        **given(changes),
    )
    # Validated before the study is opened, because opening writes: a wrong budget leaves nothing behind.
    run_options = RunOptions(timeout, extend, workers, engine, address)
    validate_run(searched, trials, run_options)
    if check:
        return _check(searched, started, as_json=json_)
    open_study(searched, context.obj if context.parent is None else context.obj[1:])
    _go(searched, searched.budget(trials), started, run_options, as_json=json_)
    return 0


def _names(text: str | None) -> list[str] | None:
    return [name.strip() for name in text.split(",")] if text is not None else None


def _check(study: Study, started: float, *, as_json: bool) -> int:
    """Run the overfit check; return 1 if the study does not pass it."""
    from search.check.check import check

    result = check(study)
    outcome = result.outcome() | {"seconds": round(monotonic() - started, 3)}
    print(json.dumps(outcome, allow_nan=False) if as_json else result)
    return 0 if result.fitted else 1


def _go(study: Study, budget: int, started: float, options: RunOptions, *, as_json: bool) -> None:
    """Run the study, then print its results."""
    from search.record.own import own_trials
    from search.study import published, results

    before = results.count_finished(study)
    study.run(budget, **asdict(options))
    outcome = results.outcome(study, seconds=monotonic() - started, budget=study.budget(budget))
    if "stopped" in outcome and before == results.count_finished(study):
        print(f"study {study.name} has stopped before: nothing to train", file=sys.stderr)
    if before >= study.budget(budget):
        why = (
            "the best trial lies at no edge that can be moved" if options.extend else "give a larger --trials to go on"
        )
        print(f"study {study.name} already has its {budget} trials: nothing to train ({why})", file=sys.stderr)
    if as_json:
        print(json.dumps(outcome | published.outcome(study), allow_nan=False))
    else:
        print(results.render(study, outcome))
        if figures := published.render(study):
            print(f"\n{figures}")
    for line in study.extended.warnings(own_trials(study.optuna_study)):
        print(f"warning: {line}", file=sys.stderr)


def main(words: list[str] | None = None) -> int:
    """Run the command line and return the exit status."""
    return serve(app, words)


if __name__ == "__main__":
    leave(main())
