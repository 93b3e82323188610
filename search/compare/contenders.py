"""The studies of a comparison: those of that name in the storage, and recipes that are run first, all equally long."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from search.compare.studies import check
from search.errors import counted
from search.recipe import Recipe
from search.recipe.discovery import load_technique
from search.study import lookup
from search.study.results import count_finished
from search.study.retrain import chosen
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
    **options: Any,
) -> list[BaseStudy]:
    """The studies, each run to its budget; says on stderr what is run.

    A study that is there already stays as it is, unless `trials` takes it further. One that is not is run to `trials`,
    or to as many as the longest of the others has, or, where all are new, to the largest budget of the recipes.

    Args:
        words: names of studies, or recipes.
        dataset, target: of recipes; a study has its own.
        techniques: files; each is of those studies only that use it.
        options: of `Study`.

    Raises:
        RequestError: one of them is not to be had, or they cannot be compared. Nothing has been run then.
    """
    there = lookup.recipes(storage)
    outside = [load_technique(path) for path in techniques]
    studies, new = [], []
    for word in words:
        name = word if word in there else lookup.usual_name(word, dataset, there, "study or recipe")
        if name in there:
            recipe, noted = there[name]
            own = [one for one in outside if one.name in recipe.techniques or _uses(noted, one)]
            study = BaseStudy(
                recipe, study_name=name, storage=storage, tracking_uri=tracking_uri, techniques=own, **options
            )
        else:
            own = [one for one in outside if one.name in Recipe.load(word).techniques]
            study = BaseStudy(
                word, dataset=dataset, target=target, storage=storage, tracking_uri=tracking_uri, techniques=own,
                **options,
            )  # fmt: skip
            new.append(study)
        studies.append(study)
    check(studies, replicates)
    budgets = {study.name: study.budget(trials) for study in studies}
    old = [study for study in studies if study not in new]
    if trials is None:
        for study in old:
            chosen(study, None)
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
    told = "is not there yet: running its" if new else f"has {counted(done, 'trial')}: running it on to"
    print(f"study {study.name} {told} {counted(budget, 'trial')}", file=sys.stderr)
    run_study(study, budget)


def _uses(noted: dict[str, str], technique: Technique) -> bool:
    """Whether a study's identity has a hyperparameter of a technique that its recipe does not name."""
    return any(f"{how} {name}" in noted for how in ("set", "space") for name in technique.hyperparameters)
