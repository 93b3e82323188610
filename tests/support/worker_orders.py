"""The orders of a worker, for tests that start one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from search.study.lookup import recipe_fields
from search.workers.orders import Orders
from support.small_studies import ALONE, small


def orders(folder: Path, **changes: Any) -> Orders:
    """Return the orders to train two trials of a small grid in a database of its own; `changes` are fields of them."""
    study = small(folder, **ALONE, sampler="grid")
    fields: dict[str, Any] = {"name": study.name, "storage": study.storage, "budget": 2, "deadline": None}
    fields |= {"recipe": recipe_fields(study.recipe, folder), "extend": False, **study.given}
    return Orders(**fields | changes)
