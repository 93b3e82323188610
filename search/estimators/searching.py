"""Run the study of a fit, and train the network that predicts."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from optuna.trial import TrialState

from search.cli.values import parse_range
from search.data.memory import MEMORY, Memory
from search.errors import RequestError
from search.estimators import results, scratch
from search.export import ensemble as selection
from search.export.refit import refit, validate_refit
from search.predict.conformal import with_scores
from search.recipe import Recipe
from search.record.feasible import described, violated
from search.record.own import own_trials
from search.study import identity
from search.study.model import ensemble_of, model_of, own_data
from search.study.progress import Log
from search.study.retrain import complete_trial, retrained
from search.study.runner import RunOptions, run_study
from search.study.study import BaseStudy
from search.train.crew import one_thread
from search.train.model_file import Model


@dataclass(frozen=True, eq=False)
class Found:
    """What a search has found: the model, the trials and the best trial's hyperparameters, and notes on the data."""

    model: Model
    results: results.Results
    params: Mapping[str, Any]
    notes: Sequence[str]


@one_thread()
def search(params: Mapping[str, Any], given: Memory, data: Mapping[str, Any], seed: int) -> Found:
    """Search, and train the network that predicts.

    Args:
        params: the parameters of the estimator.
        given: the data.
        data: the fields of ``[data]`` that they need.
        seed: the seed of the study and of its split.

    Raises:
        RequestError: a parameter is wrong, the data cannot be used, or no trial was completed.
        EnvironmentFault: the machine cannot do what is asked.
    """
    if params["ensemble"] < 1:
        raise RequestError(f"ensemble must be >= 1, got {params['ensemble']}")
    recipe = recipe_of(params, data, seed)
    quiet = not params["verbose"]
    arguments: dict[str, Any] = {"data": given, "tracking_uri": None, "device": params["device"]}
    with scratch.storage(params["storage"], recipe.name) as url:
        study = BaseStudy(recipe, study_name=recipe.name, storage=url, **arguments)
        if params["storage"] is not None:
            # Each data set and each change of a parameter is a study of its own; the same fit continues its study.
            name = f"{recipe.name}-{_digest(study)}"
            study = BaseStudy(recipe, study_name=name, storage=url, loaded=study.data, **arguments)
        if not quiet:
            print(*study.notes(), sep="\n", file=sys.stderr)
        try:
            run_study(study, options=RunOptions(timeout=params["timeout"]), observers=[] if quiet else None)
            if study.best is None:
                raise RequestError(_without_best(study))
            model = trained(study, params["ensemble"], (lambda _: None) if quiet else None, again=params["refit"])
            return Found(model, results.of(study), dict(study.best.params), study.notes())
        finally:
            if study.backend is not None:
                study.backend.engine.dispose()


def _without_best(study: BaseStudy) -> str:
    """Say why no trial can predict."""
    complete = own_trials(study.optuna_study, [TrialState.COMPLETE])
    if not complete:
        return (
            f"no trial of {study.recipe.name} was completed, so nothing can predict: give a longer timeout, or a"
            " narrower space if all trials diverged"
        )
    which = "; ".join(described([(trial.number, violated(trial)) for trial in complete]))
    return f"no trial of {study.recipe.name} meets all constraints: give more trials, or relax one ({which})"


def recipe_of(params: Mapping[str, Any], data: Mapping[str, Any], seed: int) -> Recipe:
    """Return the recipe of a fit.

    Raises:
        RequestError: a parameter is wrong.
    """
    given = params["recipe"]
    original = Recipe.load(str(given) if isinstance(given, str | Path) else "+".join(given))
    fields: dict[str, Any] = {"dataset": MEMORY, "scale": original.data.scale, "test": 0, "seed": seed, **data}
    if params["folds"]:
        fields["folds"] = _plain(params["folds"])
    else:
        fields["val"] = _plain(params["validation_fraction"])
    fixed = {name: _plain(value) for name, value in (params["set"] or {}).items()}
    if params["epochs"] is not None:
        fixed["epochs"] = _plain(params["epochs"])
    if params["hidden"] is not None:
        fixed["hidden"] = hidden_of(params["hidden"])
    changes: dict[str, Any] = {"trials": _plain(params["trials"]), "seed": seed}
    if fixed:
        changes["set"] = fixed
    if params["space"]:
        changes["space"] = {name: _range(name, one) for name, one in params["space"].items()}
    if params["objective"] is not None:
        changes["objective"] = [params["objective"]] if isinstance(params["objective"], str) else params["objective"]
    if params["one_of"]:
        changes["one_of"] = params["one_of"]
    if params["enqueue"]:
        listed = [params["enqueue"]] if isinstance(params["enqueue"], Mapping) else params["enqueue"]
        changes["enqueue"] = [{name: _plain(value) for name, value in one.items()} for one in listed]
    if params["constraints"]:
        changes["constraints"] = params["constraints"]
    if params["until"] is not None:
        changes["until"] = _plain(params["until"])
    if params["sampler"] is not None:
        changes["sampler"] = params["sampler"]
    if params["pruner"] is not None:
        changes["pruner"] = {"name": params["pruner"]} if isinstance(params["pruner"], str) else params["pruner"]
    # What the recipe says of its own data does not hold for these.
    stated = {**original.model_dump(exclude_unset=True), "data": fields}
    return Recipe.parse(stated, original.name).but(original.name, **changes)


def hidden_of(widths: object) -> str:
    """Return the widths of the hidden layers as a recipe has them: 64, (64, 32) and "64x32" are possible."""
    if isinstance(widths, str):
        return widths
    many = widths if isinstance(widths, Sequence | np.ndarray) else [widths]
    return "x".join(str(_plain(width)) for width in many) or "0"


def trained(study: BaseStudy, ensemble: int, log: Log | None, *, again: bool) -> Model:
    """Return the model of the best trial, or of an ensemble of the best trials.

    Args:
        study: the study.
        ensemble: the number of choices for an ensemble (`search.export.ensemble`); 1 for a single network.
        log: gets lines on what is trained; by default they are shown on stderr.
        again: whether to train on training and validation rows (`search.export.refit`).

    Raises:
        RequestError: see `search.export.network.export`.
    """
    loss: float | None = None
    if ensemble > 1:
        found = selection.choose(study, ensemble, log)
        members, loss = list(found.members), found.val_loss
    else:
        number = complete_trial(study, None).number
        if again:
            validate_refit(study, number)
        members = [retrained(study, number, log)]
    if again:
        members, loss = refit(study, members, log), None
    model = model_of(study, members[0]) if ensemble == 1 else ensemble_of(study, members, loss)
    return with_scores(model, own_data(study, members[0]))


def _digest(study: BaseStudy) -> str:
    fields = identity.describe(study.recipe, study.space, study.data, study.loss)
    return hashlib.sha256(repr(sorted(fields.items())).encode()).hexdigest()[:12]


def _range(name: str, values: Any) -> Any:
    """Return a range as a recipe's table: from "1e-4:1e-1:log", or the values to choose from."""
    if isinstance(values, str):
        return parse_range(name, values)
    return values if isinstance(values, Mapping) else {"choices": [_plain(value) for value in values]}


def _plain(value: Any) -> Any:
    """Return a number of numpy as one of Python, which a recipe takes."""
    return value.item() if isinstance(value, np.generic) else value
