"""Recipes: the TOML file that defines a study, its techniques, and the hyperparameters that it fixes and searches.

Names are loaded when they are first used (PEP 562), so that `search.recipe.discovery` finds techniques without the
libraries that recipes need.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from search.recipe.files import packaged
    from search.recipe.recipe import Recipe

_HOMES = {"Recipe": "search.recipe.recipe", "packaged": "search.recipe.files"}

__all__ = ["Recipe", "packaged"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'search.recipe' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
