"""The arguments of `Study` as fields of its recipe: what users may write shorter than a recipe does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from search.data import memory
from search.errors import RequestError, clip
from search.recipe import Recipe
from search.recipe.schema import DataSet

_SHORT = ("hidden", "batch_size", "epochs")
"""The hyperparameters that may be given by name, as on the command line, and not only in `set`."""

# The fields of a recipe's [data] that are arguments of a study too; its seed is that of the recipe.
_OF_DATA = DataSet.model_fields.keys() - Recipe.model_fields.keys() - {"dataset", "target"}


def changed(
    recipe: Recipe,
    dataset: str | Path | None,
    target: str | int | Sequence[str] | None,
    data: Any,
    changes: Mapping[str, Any],
) -> tuple[Recipe, memory.Memory | None]:
    """Return a recipe as the arguments of `Study` change it, and the data that were given in memory, if any.

    Raises:
        RequestError: the arguments contradict each other, or the changed recipe is not valid.
    """
    # Not only a fraction or a path: rows too may be given as data in memory.
    parts = {name: changes[name] for name in ("val", "test") if memory.is_data(changes.get(name))}
    given = None if data is None or isinstance(data, Mapping) else memory.of(data, parts)
    if parts and given is None:
        raise RequestError(f"{next(iter(parts))} is given in memory, so data must be too")
    if given is not None and dataset is not None:
        raise RequestError(f"give either data or dataset {clip(str(dataset))!r}, not both")
    named = memory.MEMORY if given is not None else None if dataset is None else str(dataset)
    fields = as_fields({**changes, **dict.fromkeys(parts, memory.MEMORY)})
    of_data = {"dataset": named, "target": as_target(target)}
    of_data |= {name: fields.pop(name) for name in _OF_DATA & fields.keys()}
    table = {name: value for name, value in of_data.items() if value is not None}
    if isinstance(data, Mapping):
        table |= data
    if table or isinstance(data, Mapping):
        fields["data"] = table
    return recipe.but(recipe.name, **fields) if fields else recipe, given


def as_fields(changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return changes to a recipe, where an objective may be one text and some hyperparameters stand by themselves.

    Example:
        >>> as_fields({"objective": "val_f1,sparsity", "epochs": 20})
        {'objective': ['val_f1', 'sparsity'], 'set': {'epochs': 20}}
    """
    fields = {name: value for name, value in changes.items() if name not in _SHORT}
    if isinstance(objective := fields.get("objective"), str):
        fields["objective"] = [name.strip() for name in objective.split(",")]
    if short := {name: changes[name] for name in _SHORT if changes.get(name) is not None}:
        fields["set"] = short | dict(fields.get("set") or {})
    return fields


def as_target(target: Any) -> str | None:
    """Return the names of target columns as one text; the columns of a data frame may have numbers as names."""
    if target is None or isinstance(target, str):
        return target
    return ",".join(map(str, target)) if isinstance(target, list | tuple) else str(target)
