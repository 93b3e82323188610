"""Names that can be looked up before torch and Optuna are imported, which takes seconds.

They complete words in the shell, and they let a misspelt word be refused at once.
"""

from __future__ import annotations

import contextlib
import re
import sqlite3
from collections.abc import Iterator
from importlib import resources
from importlib.resources.abc import Traversable

from search.storage.database import DEFAULT_STORAGE, sqlite_path

# Those of every study and of the optimisers.
_COMMON = {
    *("activation", "batch_size", "epochs", "hidden", "lr", "optimizer"),
    *("alpha", "beta1", "beta2", "centered", "dampening", "eps", "lr_decay", "momentum", "nesterov", "weight_decay"),
}
# Those of a technique, as its file declares them: to import it would import torch.
_DECLARED = re.compile(r'"(\w+)": (?:Numeric|Structural)\(')


def recipes() -> list[str]:
    """Return the names of the packaged recipes, those in subfolders too."""
    return sorted(_recipes(resources.files("studies"), ""))


def hyperparameters() -> set[str]:
    """Return the names of the hyperparameters that studies have."""
    files = (entry for entry in resources.files("objectives").iterdir() if entry.name.endswith(".py"))
    return _COMMON.union(*(_DECLARED.findall(file.read_text(encoding="utf-8")) for file in files))


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


def _recipes(folder: Traversable, prefix: str) -> Iterator[str]:
    for entry in folder.iterdir():
        if entry.is_dir():
            yield from _recipes(entry, f"{prefix}{entry.name}/")
        elif entry.name.endswith(".toml"):
            yield prefix + entry.name.removesuffix(".toml")
