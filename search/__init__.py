"""Hyperparameter search for the regularisation and optimisation of MLPs: many trials train as one batched network.

    recipe --> data --> ask --> pack --> epoch --> metrics --> rung: judge --> tell --> record --> show

`Study` is the way in from Python, `python -m search.run` from a shell. Names are loaded when they are first used
(PEP 562), so that a command answers `--help` before torch is imported.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from search.compared import compare_studies
    from search.errors import EnvironmentFault, RequestError
    from search.recipe import Recipe
    from search.study import Study
    from search.technique import Numeric, Structural, Technique

_HOMES = {
    "Study": "search.study",
    "compare_studies": "search.compared",
    "Recipe": "search.recipe",
    "Technique": "search.technique",
    "Numeric": "search.technique",
    "Structural": "search.technique",
    "RequestError": "search.errors",
    "EnvironmentFault": "search.errors",
}

__all__ = [
    "EnvironmentFault",
    "Numeric",
    "Recipe",
    "RequestError",
    "Structural",
    "Study",
    "Technique",
    "compare_studies",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'search' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
