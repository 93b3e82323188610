"""Names that can be looked up before torch and Optuna are imported, which takes seconds.

They complete words in the shell, and they let a misspelt word be refused at once.
"""

from __future__ import annotations

import contextlib
import sqlite3
import tomllib
from collections.abc import Iterator
from importlib import resources
from importlib.resources.abc import Traversable
from typing import Any

from search.storage.database import DEFAULT_STORAGE, sqlite_path

# Those of every study and of the optimisers; those of the techniques are in the packaged recipes.
_COMMON = {
    *("activation", "batch_size", "epochs", "hidden", "lr", "optimizer"),
    *("alpha", "beta1", "beta2", "centered", "dampening", "eps", "lr_decay", "momentum", "nesterov", "weight_decay"),
}


def recipes() -> list[str]:
    """Return the names of the packaged recipes, those in subfolders too."""
    return sorted(name for name, _ in _files(resources.files("studies"), ""))


def hyperparameters() -> set[str]:
    """Return the names of the hyperparameters that studies have."""
    names = set(_COMMON)
    for _, file in _files(resources.files("studies"), ""):
        recipe: dict[str, Any] = tomllib.loads(file.read_text(encoding="utf-8"))
        for table in (recipe, *recipe.get("rows", ()), *recipe.get("settings", ())):
            names |= {*table.get("set", ()), *table.get("space", ())}
    return names


def studies(storage: str = DEFAULT_STORAGE) -> list[str] | None:
    """Return the names of the studies in an SQLite file; None for another database, or where they cannot be read."""
    path = sqlite_path(storage)
    if path is None or not path.exists():
        return None
    with (
        contextlib.suppress(sqlite3.Error),
        contextlib.closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as file,
    ):
        return [name for (name,) in file.execute("SELECT study_name FROM studies ORDER BY study_id")]
    return None


def complete_study() -> list[str]:
    """Return what a shell offers where a study is asked for: those in ``optuna.db``, then the recipes."""
    return [*(studies() or ()), *recipes()]


def _files(folder: Traversable, prefix: str) -> Iterator[tuple[str, Traversable]]:
    for entry in folder.iterdir():
        if entry.is_dir():
            yield from _files(entry, f"{prefix}{entry.name}/")
        elif entry.name.endswith(".toml"):
            yield prefix + entry.name.removesuffix(".toml"), entry
