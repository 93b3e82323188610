"""`python -m search.run STUDY`: search a recipe's space and leave every trial in the study and in MLflow."""

from __future__ import annotations

import json
import os
import shlex
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from search.cli.command import leave, pairs, parse_range, parse_value, parse_values, serve
from search.cli.options import DataDir, Device, Offline, Storage, Techniques, application, option
from search.errors import RequestError
from search.storage.database import DEFAULT_STORAGE, DEFAULT_TRACKING, shown

if TYPE_CHECKING:
    from search.api import Study
    from search.study.runner import RunOptions

app = application()


@app.command()
def run(
    context: typer.Context,
    study: Annotated[str, typer.Argument(help="A recipe's name, a path to a .toml, or techniques joined by '+'.")],
    dataset: Annotated[str | None, option("digits, wine, mnist ..., or a .csv, .parquet, .npz or folder.")] = None,
    target: Annotated[str | None, option("The column of a table that is predicted.", metavar="COLUMN")] = None,
    scale: Annotated[str | None, option("standard, unit or none.")] = None,
    data_dir: DataDir = Path("data"),
    offline: Offline = False,
    data: Annotated[
        list[str] | None,
        option("Of a synthetic data set: n, sigma ...; of a file: task, drop. Repeatable.", metavar="NAME=VALUE"),
    ] = None,
    trials: Annotated[int | None, option("Total budget: the study goes on to this many.")] = None,
    timeout: Annotated[float | None, option("Stop after so many seconds; run again to go on.")] = None,
    workers: Annotated[
        int, option("Processes that share the work (default: 1): a GPU, or a share of cores, each.")
    ] = 1,
    engine: Annotated[str, option("Where workers run: local (default), or ray, a cluster.")] = "local",
    address: Annotated[
        str | None, option("Of the Ray cluster (default: auto, the one this machine belongs to).", metavar="HOST:PORT")
    ] = None,
    extend: Annotated[
        bool, option("Widen a range, and search on, where the best trial lies at its edge.", "--extend")
    ] = False,
    sampler: Annotated[str | None, option("tpe, random, grid, gp, cmaes, qmc or nsgaii.")] = None,
    grid_points: Annotated[int | None, option("Values of each range in a grid.")] = None,
    pruner: Annotated[str | None, option("halving, hyperband, median, curve, pareto or none.")] = None,
    objective: Annotated[
        str | None, option("val_loss (default); or several, for their front: val_loss,sparsity.", metavar="NAMES")
    ] = None,
    ask_batch: Annotated[int | None, option("Trials asked and judged together.")] = None,
    replicates: Annotated[int | None, option("Seeds per trial.")] = None,
    seed: Annotated[int | None, option("Of every random draw of the study.")] = None,
    set_: Annotated[
        list[str] | None, option("Fix a hyperparameter. Repeatable.", "--set", metavar="NAME=VALUE")
    ] = None,
    space: Annotated[
        list[str] | None,
        option("Search a hyperparameter: LOW:HIGH, LOW:HIGH:log or A,B,C. Repeatable.", metavar="NAME=RANGE"),
    ] = None,
    hidden: Annotated[str | None, option("Widths of the hidden layers, such as 128,128; 0 for none.")] = None,
    batch_size: Annotated[int | None, option("Rows of a minibatch.")] = None,
    epochs: Annotated[int | None, option("Epochs of a trial.")] = None,
    loss: Annotated[str | None, option("mse, l1 or huber, for regression.")] = None,
    device: Device = "auto",
    precision: Annotated[str | None, option("fp32 (default), tf32 on a GPU, or bf16.")] = None,
    slots: Annotated[str, option("Most trials that train as one network, or auto (default).")] = "auto",
    checkpoint: Annotated[
        bool, option("Keep training at each rung in checkpoints/, to go on from there after a crash.", "--checkpoint")
    ] = False,
    technique: Techniques = None,
    study_name: Annotated[str | None, option("Default: recipe and data set, l2-digits.")] = None,
    storage: Storage = DEFAULT_STORAGE,
    tracking_uri: Annotated[str, option(f"MLflow's (default: {DEFAULT_TRACKING}), or none.")] = DEFAULT_TRACKING,
    check: Annotated[
        bool, option("Only see whether it can overfit one batch, and if not, why not.", "--check")
    ] = False,
    json_: Annotated[bool, option("Print one JSON object on stdout instead of a table.", "--json")] = False,
) -> int:
    """Search a study's space: many trials train as one network, pruned among peers, every curve recorded.

    Run it again to go on where it was interrupted, or with a larger --trials to extend it.
    """
    started = time.monotonic()
    shortcuts = {"hidden": hidden, "batch_size": batch_size, "epochs": epochs}
    fixed = {name: parse_value(value) for name, value in pairs("--set", set_ or ()).items()} | _given(shortcuts)
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
        "data": _given({"dataset": dataset, "target": target, "scale": scale, "options": options or None}) or None,
    }

    from search.api import Study
    from search.study.runner import RunOptions, validate_run

    made = Study(
        study,
        data_dir=data_dir,
        offline=offline,
        study_name=study_name,
        storage=storage,
        tracking_uri=tracking_uri,
        device=device,
        slots=_slots(slots),
        checkpoint=checkpoint,
        techniques=technique or (),
        **_given(changes),
    )
    # Before the study is opened, which writes: a wrong budget leaves nothing behind.
    run_options = RunOptions(timeout, extend, workers, engine, address)
    validate_run(made, trials, run_options)
    if check:
        return _check(made, started, as_json=json_)
    _open(made, context.obj)
    _go(made, made.budget(trials), started, run_options, as_json=json_)
    return 0


def _given(options: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}


def _slots(text: str) -> int | str:
    value = parse_value(text)
    return value if isinstance(value, int) else text


def _check(study: Study, started: float, *, as_json: bool) -> int:
    """The overfit check instead of a search; returns 1 where it finds something wrong with the study."""
    from search.check.check import check

    found = check(study, lambda line: print(f"training {line}", file=sys.stderr))
    if as_json:
        print(json.dumps(found.outcome() | {"seconds": round(time.monotonic() - started, 3)}, allow_nan=False))
    else:
        print(found)
    return 0 if found.fitted else 1


def _open(study: Study, words: Sequence[str]) -> None:
    """Open the study; where the name is another study's, say the command that makes one of its own.

    Raises:
        Mismatch: which ends with that command.
    """
    from search.study.identity import Mismatch, free_name
    from search.study.lookup import names

    try:
        _ = study.optuna_study
    except Mismatch as mismatch:
        name = free_name(mismatch.study, names(study.storage))
        kept = [word for word in words if not word.startswith("--study-name=")]
        if "--study-name" in kept:
            at = kept.index("--study-name")
            del kept[at : at + 2]
        python = sys.executable.removeprefix(f"{os.getcwd()}{os.sep}")
        kept = [shown(word) if "://" in word else word for word in kept]
        again = shlex.join([python, "-m", "search.run", f"--study-name={name}", *kept])
        raise RequestError(f"{mismatch}; to make a study of its own: {again}") from None


def _go(study: Study, budget: int, started: float, options: RunOptions, *, as_json: bool) -> None:
    """Run, then show what came of it."""
    from search.study import published, results

    for note in study.notes():
        print(f"note: {note}", file=sys.stderr)
    before = results.count_finished(study)
    study.run(budget, **asdict(options))
    if before >= study.budget(budget):
        why = "its best trial lies at no edge to widen" if options.extend else "give a larger --trials to go on"
        print(f"study {study.name} already has its {budget} trials: nothing to train ({why})", file=sys.stderr)
    outcome = results.outcome(study, seconds=time.monotonic() - started)
    if as_json:
        print(json.dumps(outcome | published.outcome(study), allow_nan=False))
    else:
        print(results.render(study, outcome))
        if shown := published.render(study):
            print(f"\n{shown}")
    for line in study.extended.warnings(study.optuna_study.get_trials(deepcopy=False)):
        print(f"warning: {line}", file=sys.stderr)


def main(words: list[str] | None = None) -> int:
    """The command line; returns the exit status."""
    return serve(app, words)


if __name__ == "__main__":
    leave(main())
