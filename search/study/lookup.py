"""Studies that a storage has already, and the recipe that each was run with."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import optuna

from search.data import dataset_name, is_path, resolve_dataset
from search.errors import EnvironmentFault, RequestError, unknown, unknown_among
from search.recipe import Recipe, packaged
from search.record.curves import RECIPE
from search.record.stored import stored_recipe
from search.storage import database
from search.study.identity import IDENTITY, compare, describe

if TYPE_CHECKING:
    from search.study.study import BaseStudy


def find(storage: str, study: str, *, study_name: str | None = None, dataset: str | None = None) -> tuple[str, Recipe]:
    """A study's name and recipe, with every change that it was run with.

    Args:
        storage: the database's URL.
        study: a study's own name, or what it was made of: a recipe's name, a path, techniques joined by '+'.
        study_name: its name where it is not that of recipe and data set.
        dataset: overrides the recipe's data set, for the name; if it is a path, it is where the data are now.

    Raises:
        RequestError: there is none.
    """
    database.validate_present(storage)
    with database.faults(storage):
        backend = database.connect(storage)
        known = optuna.get_all_study_names(backend)
        name = study_name or (study if study in known else usual_name(study, dataset, known))
        if name not in known:
            raise unknown(f"study in {database.shown(storage)}", name, known)
        attributes = optuna.load_study(study_name=name, storage=backend).user_attrs
    if RECIPE not in attributes:
        raise RequestError(f"study {name!r} was not made by regsearch")
    recipe = Recipe.parse(stored_recipe(attributes), name)
    if dataset is not None and is_path(dataset):
        recipe = recipe.but(name, data={"dataset": dataset})
    elif dataset not in (None, recipe.data.dataset):
        raise RequestError(f"study {name!r} was run with dataset {recipe.data.dataset}, got {dataset!r}")
    return name, recipe


def names(storage: str) -> list[str]:
    """The names of all studies in a storage that is there."""
    with database.faults(storage):
        return optuna.get_all_study_names(database.connect(storage))


def ours(storage: str) -> list[str]:
    """The names of the studies in a storage that regsearch made, in the order of their making."""
    database.validate_present(storage)
    with database.faults(storage):
        studies = database.connect(storage).get_all_studies()
    return [study.study_name for study in studies if RECIPE in study.user_attrs]


def glance(study: BaseStudy) -> optuna.Study | None:
    """The Optuna study of a study, to read, also where it is not open; None where there is none.

    Nothing is written or made.

    Raises:
        RequestError: the one of this name is another study.
        EnvironmentFault: its storage can't be read, or not without opening the study: only a file can.
    """
    if study.is_open:
        return study.optuna_study
    path = database.sqlite_path(study.storage)
    if path is None:
        raise EnvironmentFault(f"not read yet from {database.shown(study.storage)}")
    if not database.has_studies(path):
        return None
    with database.faults(study.storage):
        backend = database.connect(study.storage)
        if study.name not in optuna.get_all_study_names(backend):
            return None
        found = optuna.load_study(study_name=study.name, storage=backend)
        compare(found, describe(study.recipe, study.space, study.data, study.loss))
    return found


def kept(recipe: Recipe) -> dict[str, Any]:
    """A recipe as the storage keeps it, from which other commands, wherever they run, find the data again."""
    fields = recipe.model_dump(mode="json")
    fields["data"]["dataset"] = resolve_dataset(recipe.data.dataset)
    return fields


def recipes(storage: str) -> dict[str, tuple[Recipe, dict[str, str]]]:
    """Every study of ours in a storage: its recipe and its identity, by name; a storage that is not there has none."""
    path = database.sqlite_path(storage)
    database.validate_sqlite(storage, "storage", ours=True)
    if path is not None and not path.exists():
        return {}
    found = {}
    with database.faults(storage):
        for one in optuna.get_all_study_summaries(database.connect(storage), include_best_trial=False):
            if RECIPE in one.user_attrs:
                recipe = Recipe.parse(stored_recipe(one.user_attrs), one.study_name)
                found[one.study_name] = recipe, one.user_attrs.get(IDENTITY, {})
    return found


def usual_name(study: str, dataset: str | None, known: Iterable[str], kind: str = "study") -> str:
    """The name of a recipe's study; for a word that is no recipe, the error names the studies there are as well.

    Args:
        known: the studies there are.
        kind: what the word was to be.
    """
    try:
        recipe = Recipe.load(study)
    except RequestError:
        if study in packaged() or "+" in study or study.endswith(".toml"):
            raise
        raise unknown_among(kind, study, {"studies": known, "recipes": packaged()}) from None
    return f"{recipe.name}-{dataset_name(dataset or recipe.data.dataset)}"
