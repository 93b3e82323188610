"""Whether a study in the storage is the one that is asked for: the fields that change results, compared by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import optuna
from optuna.study import StudyDirection

from search.data import Data, dataset_name
from search.errors import RequestError
from search.recipe import Recipe
from search.recipe.distributions import as_text
from search.recipe.space import Space
from search.record.objectives import VAL_LOSS, Objectives

IDENTITY = "identity"
"""Study attribute: `describe(...)`."""

# What a study may be run again with, changed: how long, how shown; not what it is.
_FREE = {
    "name",
    "title",
    "trials",
    "set",
    "space",
    "settings",
    "watch",
    "loss",
    "techniques",
    "grid_points",
    "data",
    "objective",
}

_LONGEST_NAME = 200
_STEM = 180  # room for the number


def describe(recipe: Recipe, space: Space, data: Data, loss: str) -> dict[str, str]:
    """Every field that changes a study's results, each as text."""
    fields = {name: _text(value) for name, value in recipe.model_dump(mode="json").items() if name not in _FREE}
    fields |= {f"set {name}": _text(value) for name, value in space.fixed.items()}
    if not space.settings:
        fields |= {f"space {name}": as_text(value) for name, value in space.searched.items()}
    if recipe.sampler == "grid":
        fields |= {f"grid points {name}": _text(points) for name, points in space.points.items()}
    # "row" is the stored name of a setting since version 0.1.0.
    fields |= {f"row {number}": _text(cell) or "as set" for number, cell in enumerate(space.settings, 1)}
    spec = recipe.data
    # A path's stem: a file that has moved is the same data.
    fields |= {"dataset": dataset_name(spec.dataset), "scale": spec.scale, "data": data.fingerprint()}
    # Left out where they say nothing: a study that was noted before there were any is still the same study.
    if len(recipe.objective) > 1:
        fields["objective"] = ",".join(recipe.objective)
    if spec.target is not None:
        fields["target"] = spec.target
    if spec.validation != "train":
        fields["validation"] = spec.validation
    if recipe.watch:
        fields["watch"] = ",".join(recipe.watch)
    return fields | {"techniques": "+".join(recipe.techniques), "loss": loss}


def confirm(study: optuna.Study, recipe: Recipe, space: Space, data: Data, loss: str) -> None:
    """Note a new study's identity, or compare with the one noted.

    Raises:
        Mismatch: as `compare` does.
    """
    asked = describe(recipe, space, data, loss)
    if not compare(study, asked):
        study.set_user_attr(IDENTITY, asked)


def compare(study: optuna.Study, asked: Mapping[str, str]) -> bool:
    """Compare an identity with the one noted in a study; whether there is one, which a new study has not.

    Raises:
        Mismatch: the study of this name is another one; the message lists the fields that differ.
    """
    noted: Mapping[str, Any] | None = study.user_attrs.get(IDENTITY)
    if noted is None:
        objectives = Objectives(tuple(asked["objective"].split(","))) if "objective" in asked else VAL_LOSS
        directions = [StudyDirection[one.upper()] for one in objectives.directions]
        if study.get_trials(deepcopy=False) or study.directions != directions:
            raise Mismatch(study.study_name, "was not made by regsearch")
        return False
    names = [name for name in dict.fromkeys((*noted, *asked)) if noted.get(name) != asked.get(name)]
    if names:
        told = (
            f"{name.replace('row ', 'setting ')}: {noted.get(name) or 'none'} there, {asked.get(name) or 'none'} here"
            for name in names
        )
        raise Mismatch(study.study_name, f"differs in {'; '.join(told)}")
    return True


class Mismatch(RequestError):
    """The study exists and is another one."""

    def __init__(self, study: str, what: str) -> None:
        self.study = study
        super().__init__(f"study {study!r} exists and {what}")
        # Beside the message, which commands complete with a remedy of their own.
        self.add_note("to make a study of its own, give it another name: Study(..., study_name='...')")


def checked_name(name: str) -> str:
    """A study's name; raises RequestError where a database or a person would have trouble with it."""
    if not name or len(name) > _LONGEST_NAME or not name.isprintable():
        shown = name if len(name) <= 40 else name[:40] + "..."
        raise RequestError(f"a study's name is 1 to {_LONGEST_NAME} printable characters, got {shown!r} ({len(name)})")
    return name


def free_name(study: str, taken: list[str]) -> str:
    """The first of ``study-2``, ``study-3`` ... that is not taken."""
    study, number = study[:_STEM], 2
    while f"{study}-{number}" in taken:
        number += 1
    return f"{study}-{number}"


def _text(value: object) -> str:
    return " ".join(f"{k}={v}" for k, v in value.items()) if isinstance(value, Mapping) else str(value)
