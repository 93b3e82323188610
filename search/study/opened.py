"""Open the Optuna study of a study in its storage, or create it there with what is stored about it."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path

import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.storages import RDBStorage

from search.data import Data
from search.recipe import Recipe
from search.recipe.space import Space
from search.record import dataset as dataset_record
from search.record.curves import RECIPE
from search.record.objectives import Objectives
from search.study import identity
from search.study.lookup import recipe_fields


@dataclass(frozen=True)
class About:
    """What a study is about.

    Attributes:
        recipe, space, data, objectives: those of the study.
        loss: the name of the training loss.
        folder: what a relative path of the recipe is relative to.
    """

    recipe: Recipe
    space: Space
    data: Data
    objectives: Objectives
    loss: str
    folder: Path


def opened(name: str, about: About, backend: RDBStorage) -> optuna.Study:
    """Return the Optuna study of this name, in which a new one has its identity, its recipe and what its data are.

    Args:
        name: the name.
        about: what the study is about.
        backend: the connection to its storage.

    Raises:
        Mismatch: the storage has another study of this name.
    """
    directions = about.objectives.directions
    there = optuna.create_study(storage=backend, study_name=name, directions=directions, load_if_exists=True)
    identity.claim(there, about.recipe, about.space, about.data, about.loss, directions)
    if RECIPE not in there.user_attrs:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            there.set_metric_names(list(about.objectives.names))
        fields = recipe_fields(about.recipe, about.folder)
        noted = dataset_record.describe(about.data, fields["data"]["dataset"])
        there.set_user_attr(dataset_record.DATASET, noted)
        there.set_user_attr(RECIPE, fields)
    return there
