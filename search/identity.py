"""Whether a study in the storage is the one that is asked for: the fields that change results, compared by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import optuna
from optuna.distributions import distribution_to_json

from search.data import Data
from search.errors import RequestError
from search.recipe import Recipe
from search.space import Space

IDENTITY = "identity"
"""Study attribute: `describe(...)`."""

# What a study may be run again with, changed: how long, how shown; not what it is.
_FREE = {"name", "title", "trials", "set", "space", "loss", "techniques", "grid_points", "data"}


def describe(recipe: Recipe, space: Space, data: Data, loss: str) -> dict[str, str]:
    """Every field that changes a study's results, each as text."""
    fields = {name: _text(value) for name, value in recipe.model_dump(mode="json").items() if name not in _FREE}
    fields |= {f"set {name}": _text(value) for name, value in space.fixed.items()}
    fields |= {f"space {name}": distribution_to_json(value) for name, value in space.searched.items()}
    if recipe.sampler == "grid":
        fields |= {f"grid points {name}": _text(points) for name, points in space.points.items()}
    spec = recipe.data
    fields |= {"dataset": spec.dataset, "scale": spec.scale, "data": data.fingerprint()}
    return fields | {"techniques": "+".join(recipe.techniques), "loss": loss}


def confirm(study: optuna.Study, recipe: Recipe, space: Space, data: Data, loss: str) -> None:
    """Note a new study's identity, or compare with the one noted.

    Raises:
        RequestError: the study of this name differs; the message lists the fields and a name that is free.
    """
    asked = describe(recipe, space, data, loss)
    noted: Mapping[str, Any] | None = study.user_attrs.get(IDENTITY)
    if noted is None:
        if study.get_trials(deepcopy=False):
            raise RequestError(
                f"study {study.study_name!r} in this storage was not made by regsearch: choose another name"
            )
        study.set_user_attr(IDENTITY, asked)
        return
    names = [name for name in dict.fromkeys((*noted, *asked)) if noted.get(name) != asked.get(name)]
    if names:
        raise Mismatch(study.study_name, {name: (noted.get(name), asked.get(name)) for name in names})


class Mismatch(RequestError):
    """The study exists and is another one."""

    def __init__(self, study: str, differing: Mapping[str, tuple[str | None, str | None]]) -> None:
        self.study = study
        told = "; ".join(
            f"{name}: {there or 'none'} there, {here or 'none'} here" for name, (there, here) in differing.items()
        )
        super().__init__(f"study {study!r} exists and differs in {told}")


def free_name(study: str, taken: list[str]) -> str:
    """The first of ``study-2``, ``study-3`` ... that is not taken."""
    number = 2
    while f"{study}-{number}" in taken:
        number += 1
    return f"{study}-{number}"


def _text(value: object) -> str:
    return " ".join(f"{k}={v}" for k, v in value.items()) if isinstance(value, Mapping) else str(value)
