"""The recipe that a study in the storage was run with, even if an earlier version stored it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from search.record.curves import RECIPE


def stored_recipe(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of the recipe from a study's attributes, or an empty dict if it has none.

    Version 0.1.0 stored the explicit settings as ``rows``.
    """
    fields = dict(attributes.get(RECIPE, {}))
    if "rows" in fields:
        fields["settings"] = fields.pop("rows")
    return fields
