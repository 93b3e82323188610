"""Find the studies of a storage, and the recipes that they were run with."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import optuna

from search.data import dataset_name, is_path, resolve_paths
from search.errors import RequestError, unknown, unknown_among
from search.recipe import Recipe, packaged
from search.record.curves import RECIPE
from search.record.stored import stored_recipe
from search.storage import database
from search.study.identity import IDENTITY


def find(storage: str, study: str, *, study_name: str | None = None, dataset: str | None = None) -> tuple[str, Recipe]:
    """Return the name of a study and its recipe, with every change that it was run with.

    Args:
        storage: the URL of the Optuna database.
        study: the study's own name, or what it was made from: a recipe's name, a path, techniques joined by '+'.
        study_name: the study's name, if it is not the default (recipe and data set).
        dataset: the data set in the study's name, if not the recipe's; a path says where the data are now.

    Raises:
        RequestError: there is no such study.
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
    """Return the names of all studies in a storage that exists."""
    with database.faults(storage):
        return optuna.get_all_study_names(database.connect(storage))


def ours(storage: str) -> dict[str, dict[str, Any]]:
    """Return the user attributes of the studies that regsearch made in a storage, by name, in order of creation.

    A storage that does not exist has none.
    """
    path = database.sqlite_path(storage)
    database.validate_sqlite(storage, "storage", ours=True)
    if path is not None and not path.exists():
        return {}
    with database.faults(storage):
        studies = database.connect(storage).get_all_studies()
    return {study.study_name: study.user_attrs for study in studies if RECIPE in study.user_attrs}


def recipe_fields(recipe: Recipe, folder: Path) -> dict[str, Any]:
    """Return the fields of a recipe as the storage holds them: a path to data is absolute, for use in any folder.

    Args:
        recipe: the recipe.
        folder: what a relative path is relative to.
    """
    fields = recipe.model_dump(mode="json")
    fields["data"] = resolve_paths(fields["data"], folder)
    return fields


def recipes(storage: str) -> dict[str, tuple[Recipe, dict[str, str]]]:
    """Return the recipe and the identity of every study that regsearch made in a storage, by name."""
    return {
        name: (Recipe.parse(stored_recipe(attributes), name), attributes.get(IDENTITY, {}))
        for name, attributes in ours(storage).items()
    }


def usual_name(study: str, dataset: str | None, known: Iterable[str], kind: str = "study") -> str:
    """Return the default name of a recipe's study.

    Args:
        study: the name of a recipe, a path, or techniques joined by '+'.
        dataset: the data set, if not the recipe's.
        known: the names of the studies that exist, for the error.
        kind: what `study` should name, for the error.

    Raises:
        RequestError: there is no such recipe; the error lists studies and recipes.
    """
    try:
        recipe = Recipe.load(study)
    except RequestError:
        if study in packaged() or "+" in study or study.endswith(".toml"):
            raise
        raise unknown_among(kind, study, {"studies": known, "recipes": packaged()}) from None
    return f"{recipe.name}-{dataset_name(dataset or recipe.data.dataset)}"
