"""The package by the name that it is installed under: everything that `search` exports, and nothing else.

import regsearch

regsearch.Study("l2").run()
regsearch.load("model.safetensors").predict("new.csv")
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import search
from search import __all__ as __all__

if TYPE_CHECKING:
    from search import *  # noqa: F403


def __getattr__(name: str) -> Any:
    if name not in search.__all__:
        raise AttributeError(f"module 'regsearch' has no attribute {name!r}")
    return getattr(search, name)


def __dir__() -> list[str]:
    return sorted(search.__all__)
