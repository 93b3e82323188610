"""The studies of a comparison. Those that do not exist yet are run first, so that all have searched equally long."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from search.cli.opening import opening
from search.compare.studies import validate_studies
from search.errors import counted
from search.recipe import Recipe
from search.recipe.discovery import load_technique
from search.recipe.metrics import load_metric
from search.study import lookup
from search.study.results import count_finished
from search.study.retrain import complete_trial
from search.study.runner import run_study
from search.study.study import BaseStudy
from search.technique import Technique


def enter(
    words: Sequence[str],
    *,
    storage: str,
    tracking_uri: str | None,
    trials: int | None,
    replicates: int,
    dataset: str | None,
    target: str | None,
    techniques: Sequence[Path],
    metrics: Sequence[Path] = (),
    **options: Any,
) -> list[BaseStudy]:
    """Return the studies of a comparison, each run to its budget; print on stderr what is run.

    A study that exists stays as it is, unless `trials` takes it further. A new study is run to `trials` trials; by
    default to as many as the largest of the others has or, if all are new, to the largest budget of the recipes.

    Args:
        words: names of studies, or of recipes, which are run first.
        storage: the URL of the Optuna database.
        tracking_uri: MLflow's tracking URI for studies that are run; None for no MLflow.
        trials: the total number of trials of every study.
        replicates: the number of fresh replicates of the comparison.
        dataset: the data set of recipes; a study has its own.
        target: the column that recipes predict; a study has its own.
        techniques: files of techniques; each study gets those that it uses.
        metrics: files of metrics, likewise.
        options: other arguments of `BaseStudy`.

    Raises:
        RequestError: a study cannot be found or opened, or the studies can't be compared. Nothing has been run then.
    """
    stored = lookup.recipes(storage)
    outside = [load_technique(path) for path in techniques]
    measures = {path: load_metric(path).name for path in metrics}

    def measured(recipe: Recipe) -> list[Path]:
        return [path for path, name in measures.items() if name in (*recipe.objective, *recipe.metrics)]

    # No study ends early, because all of them should search equally long.
    common: dict[str, Any] = {"storage": storage, "tracking_uri": tracking_uri, "until": None, **options}
    studies, new = [], []
    with opening(", ".join(words)):
        for word in words:
            name = word if word in stored else lookup.usual_name(word, dataset, stored, "study or recipe")
            if name in stored:
                recipe, identity = stored[name]
                own = [one for one in outside if one.name in recipe.techniques or _uses(identity, one)]
                study = BaseStudy(recipe, study_name=name, techniques=own, metrics=measured(recipe), **common)
            else:
                recipe = Recipe.load(word)
                own = [one for one in outside if one.name in recipe.techniques]
                given: dict[str, Any] = {"techniques": own, "metrics": measured(recipe)}
                study = BaseStudy(word, dataset=dataset, target=target, **given, **common)
                new.append(study)
            studies.append(study)
    validate_studies(studies, replicates)
    budgets = {study.name: study.budget(trials) for study in studies}
    old = [study for study in studies if study not in new]
    if trials is None:
        for study in old:
            complete_trial(study, None)  # which raises an error if there is none
            budgets[study.name] = count_finished(study)
        goal = max(budgets[study.name] for study in old or new)
        budgets |= {study.name: study.budget(goal) for study in new}
    for study in studies:
        _run(study, budgets[study.name], new=study in new)
    return studies


def _run(study: BaseStudy, budget: int, *, new: bool) -> None:
    done = 0 if new else count_finished(study)
    if done >= budget:
        print(f"study {study.name} has {counted(done, 'trial')}: nothing to run", file=sys.stderr)
        return
    present = "does not exist yet: running" if new else f"has {counted(done, 'trial')}: continuing to"
    print(f"study {study.name} {present} {counted(budget, 'trial')}", file=sys.stderr)
    run_study(study, budget)


def _uses(identity: dict[str, str], technique: Technique) -> bool:
    """Return whether a study has a hyperparameter of a technique that its recipe does not name."""
    return any(f"{how} {name}" in identity for how in ("set", "space") for name in technique.hyperparameters)
