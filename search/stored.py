"""Studies that a storage has already, and the recipe that each was run with."""

from __future__ import annotations

import optuna

from search import database
from search.errors import RequestError, unknown
from search.identity import IDENTITY
from search.recipe import Recipe
from search.record.curves import RECIPE


def find(storage: str, study: str, *, study_name: str | None = None, dataset: str | None = None) -> tuple[str, Recipe]:
    """A study's name and recipe, with every change that it was run with.

    Args:
        storage: the database's URL.
        study: a study's own name, or what it was made of: a recipe's name, a path, techniques joined by '+'.
        study_name: its name where it is not that of recipe and data set.
        dataset: overrides the recipe's data set, for the name.

    Raises:
        RequestError: there is none.
    """
    path = database.sqlite_path(storage)
    if path is not None and not path.exists():
        raise RequestError(f"storage: there is no {path}: run a study first, or name its database with --storage")
    database.check_sqlite(storage, "storage", ours=True)
    with database.faults(storage):
        backend = database.connect(storage)
        names = optuna.get_all_study_names(backend)
        name = study_name or (study if study in names else _usual_name(study, dataset))
        if name not in names:
            raise unknown(f"study in {database.shown(storage)}", name, names)
        attributes = optuna.load_study(study_name=name, storage=backend).user_attrs
    if RECIPE not in attributes:
        raise RequestError(f"study {name!r} was not made by regsearch")
    return name, Recipe.parse(attributes[RECIPE], name)


def recipes(storage: str) -> dict[str, tuple[Recipe, dict[str, str]]]:
    """Every study of ours in a storage: its recipe and its identity, by name; a storage that is not there has none."""
    path = database.sqlite_path(storage)
    database.check_sqlite(storage, "storage", ours=True)
    if path is not None and not path.exists():
        return {}
    found = {}
    with database.faults(storage):
        for one in optuna.get_all_study_summaries(database.connect(storage), include_best_trial=False):
            if RECIPE in one.user_attrs:
                recipe = Recipe.parse(one.user_attrs[RECIPE], one.study_name)
                found[one.study_name] = recipe, one.user_attrs.get(IDENTITY, {})
    return found


def _usual_name(study: str, dataset: str | None) -> str:
    recipe = Recipe.load(study)
    return f"{recipe.name}-{dataset or recipe.data.dataset}"
