"""The identity of a study: the fields that change its results. A stored study is recognised by them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import optuna
from optuna.study import StudyDirection

from search.data import Data, dataset_name
from search.errors import RequestError
from search.recipe import Recipe
from search.recipe.schema import DataSet
from search.recipe.space import Space
from search.record.objectives import VAL_LOSS
from search.storage.fields import Part
from search.study import begun
from search.technique import Hyperparameter, Value
from search.train.metrics.objective import Direction

IDENTITY = "identity"
"""The study attribute that holds what `describe` returns."""

# The fields of a recipe that may change between runs, or that `describe` gives in another form.
_FREE = {
    "name",
    "title",
    "trials",
    "until",
    "set",
    "space",
    "one_of",
    "settings",
    "earlier",
    "watch",
    "loss",
    "techniques",
    "grid_points",
    "data",
    "objective",
    "metrics",
    "constraints",
    "pruner",
    "replicates",
    "tolerance",
}
# The fields of version 0.1.0, which every stored identity has. A later field of a recipe or its pruner is left out at
# its default, so that the identity of a study from before it existed still matches.
_ALWAYS = {"ask_batch", "seed", "sampler", "precision"}
_ALWAYS_OF_PRUNER = {"name", "reduction_factor", "min_epochs", "interval"}

_LONGEST_NAME = 200
_STEM = 180  # leaves room for a number


def describe(recipe: Recipe, space: Space, data: Data, loss: str) -> dict[str, str]:
    """Return every field that changes a study's results, as text."""
    fields = {name: _text(value) for name, value in _changed(recipe, _ALWAYS).items() if name not in _FREE}
    # How many replicates a race adds after the search changes no trial of the search.
    fields["replicates"] = _text(recipe.seeds)
    fields["pruner"] = _text(_changed(recipe.pruner, _ALWAYS_OF_PRUNER))
    # A hyperparameter that was declared later is left out at its default, for the same reason as a later field.
    fixed = {name: value for name, value in space.fixed.items() if not _is_as_before(space.declared[name], value)}
    fields |= {f"set {name}": _text(value) for name, value in fixed.items()}
    if not space.settings:
        fields |= {f"space {name}": space.text(name) for name in space.dimensions}
    if recipe.sampler == "grid":
        fields |= {f"grid points {name}": _text(points) for name, points in space.points.items()}
    # "row" is the stored name of a setting since version 0.1.0.
    first = zip(space.first, recipe.settings, strict=False)  # there are no first settings where they are a grid
    cells = [*space.settings, *(known.params for known, setting in first if not setting.study)]
    fields |= {f"row {number}": _text(cell) or "as set" for number, cell in enumerate(cells, 1)}
    if recipe.earlier:
        fields["from"] = begun.identity(recipe)
    spec = recipe.data
    # For a path this is its stem, because a file that has moved holds the same data.
    fields |= {"dataset": dataset_name(spec.dataset), "scale": spec.scale, "data": data.fingerprint()}
    # Fields at their defaults are left out, so that the identity of a study from before they existed still matches.
    if recipe.objective != VAL_LOSS.names:
        fields["objective"] = ",".join(recipe.objective)
    if recipe.metrics:
        fields["metrics"] = ",".join(recipe.metrics)
    if recipe.constraints:
        fields["constraints"] = "; ".join(recipe.constraints)
    if spec.target is not None:
        fields["target"] = spec.target
    if spec.validation != "train":
        fields["validation"] = spec.validation
    for name in ("group", "time", "weights", "folds", "repeats"):
        if (value := getattr(spec, name)) != DataSet.model_fields[name].default:
            fields[name] = str(value)
    if recipe.watch:
        fields["watch"] = ",".join(recipe.watch)
    return fields | {"techniques": "+".join(recipe.techniques), "loss": loss}


def claim(
    study: optuna.Study, recipe: Recipe, space: Space, data: Data, loss: str, directions: Sequence[Direction]
) -> None:
    """Store the identity of a new study, or validate that a stored one is the same study.

    Args:
        study: the Optuna study.
        recipe, space, data, loss: what the study is about.
        directions: the directions of its objectives.

    Raises:
        Mismatch: the stored study of this name has another identity.
    """
    identity = describe(recipe, space, data, loss)
    if not validate_identity(study, identity, directions):
        study.set_user_attr(IDENTITY, identity)


def validate_identity(study: optuna.Study, asked: Mapping[str, str], directions: Sequence[Direction]) -> bool:
    """Validate that a study has the identity that is asked for; return False for a new study, which has none yet.

    Raises:
        Mismatch: the stored study of this name has another identity; the message lists the fields that differ.
    """
    noted: Mapping[str, Any] | None = study.user_attrs.get(IDENTITY)
    if noted is None:
        wanted = [StudyDirection[one.upper()] for one in directions]
        if study.get_trials(deepcopy=False) or study.directions != wanted:
            raise Mismatch(study.study_name, "was not made by regsearch")
        return False
    names = [name for name in dict.fromkeys((*noted, *asked)) if noted.get(name) != asked.get(name)]
    if names:
        fields = (
            f"{name.replace('row ', 'setting ')}: {noted.get(name) or 'none'} there, {asked.get(name) or 'none'} here"
            for name in names
        )
        raise Mismatch(study.study_name, f"differs in {'; '.join(fields)}")
    return True


class Mismatch(RequestError):
    """A study of this name exists and has another identity."""

    def __init__(self, study: str, what: str) -> None:
        self.study = study
        super().__init__(f"study {study!r} exists and {what}")
        # A note, because commands add their own remedy to the message.
        self.add_note("to make a new study, give it another name: Study(..., study_name='...')")


def checked_name(name: str) -> str:
    """Return the name of a study; raise RequestError if it is empty, too long or not printable."""
    if not name or len(name) > _LONGEST_NAME or not name.isprintable():
        shown = name if len(name) <= 40 else name[:40] + "..."
        raise RequestError(f"a study's name is 1 to {_LONGEST_NAME} printable characters, got {shown!r} ({len(name)})")
    return name


def free_name(study: str, taken: list[str]) -> str:
    """Return the first of ``study-2``, ``study-3`` ... that is not taken."""
    study, number = study[:_STEM], 2
    while f"{study}-{number}" in taken:
        number += 1
    return f"{study}-{number}"


def _is_as_before(declared: Hyperparameter, value: Value) -> bool:
    return declared.later and value == declared.fixed


def _changed(part: Part, always: Collection[str]) -> dict[str, Any]:
    """Return the fields of a table that are not at their defaults, and those that are always stored."""
    defaults = {name: field.get_default(call_default_factory=True) for name, field in type(part).model_fields.items()}
    return {
        name: value
        for name, value in part.model_dump(mode="json").items()
        if name in always or getattr(part, name) != defaults[name]
    }


def _text(value: object) -> str:
    return " ".join(f"{k}={v}" for k, v in value.items()) if isinstance(value, Mapping) else str(value)
