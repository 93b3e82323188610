"""The arguments of `Study` as fields of its recipe: what users may write shorter than a recipe does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_SHORT = ("hidden", "batch_size", "epochs")
"""The hyperparameters that may be given by name, as on the command line, and not only in `set`."""


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
