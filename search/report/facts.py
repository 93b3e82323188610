"""The facts at the head of a report's page: data, search, run and environment."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from optuna.trial import FrozenTrial

from search.errors import counted
from search.study.results import tally

if TYPE_CHECKING:
    from search.study.study import BaseStudy


def describe(
    study: BaseStudy,
    states: Counter[str],
    trained: int,
    trials: Sequence[FrozenTrial],
    environment: Mapping[str, str],
) -> dict[str, str]:
    """Return the facts about a study and its trials, by name.

    Args:
        study: the study.
        states: the number of its trials in each state.
        trained: the epochs that they have trained.
        trials: the trials as Optuna has them.
        environment: the environment that is recorded with them.
    """
    recipe, data, space = study.recipe, study.data, study.space
    sizes = [f"{len(x):,}" for x in (data.x_train, data.x_val, data.x_test)]
    rows = f"{' / '.join(sizes)} rows for training / validation / test"
    if data.folds:
        rows = f"{len(data.folds)} folds, the first with {rows}"
    epochs = f"{trained:,}" if recipe.networks == 1 else f"{trained:,} x {recipe.described_networks}"
    starts = [trial.datetime_start for trial in trials if trial.datetime_start is not None]
    ends = [trial.datetime_complete for trial in trials if trial.datetime_complete is not None]
    pruner = recipe.pruner.name
    return {
        "recipe": f"{recipe.name}{f': {recipe.title}' if recipe.title else ''}",
        "techniques": " + ".join(recipe.techniques) or "none",
        "data": f"{data.name}, {data.task}; {rows}; scaling: {' or '.join(space.scales) or recipe.data.scale}",
        "trials": tally(states) or "none",
        "epochs trained": epochs,
        "searched": ", ".join(space.dimensions) or "nothing",
        "fixed": ", ".join(
            f"{name} = {space.fixed[name]}"
            for name in ("optimizer", "lr", "batch_size", "epochs", "hidden", "activation")
            if name in space.fixed
        ),
        "search": f"sampler {recipe.sampler}, pruner {pruner}, cohorts of {recipe.ask_batch}",
        "objective": _objective(study),
        "seed": f"{recipe.seed} (seed of the split: {recipe.data.seed})",
        "run": _span(starts, ends),
        "environment": ", ".join(f"{name} {value}" for name, value in environment.items()) or "not recorded",
    }


def judged_on(study: BaseStudy) -> str:
    """Return what the objective is measured on, such as ``359 validation rows`` or ``5 folds``."""
    if folds := study.data.folds:
        return counted(len(folds), "fold")
    return counted(len(study.data.y_val), "validation row")


def _objective(study: BaseStudy) -> str:
    first, *others = study.objectives.each
    what = f"validation {study.loss} without penalties" if first.is_loss else f"{first.name} ({first.direction})"
    epoch = "the epoch with the best mean over folds" if first.common else "the best epoch, averaged over replicates"
    parts = [f"{what} at {epoch}"]
    return "; ".join([*parts, *(f"{one.name} ({one.direction})" for one in others)])


def _span(starts: Sequence[datetime], ends: Sequence[datetime]) -> str:
    if not starts:
        return "not yet"
    last = max(ends, default=max(starts))
    return f"{min(starts):%Y-%m-%d %H:%M} to {last:%Y-%m-%d %H:%M}"
