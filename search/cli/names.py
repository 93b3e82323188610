"""Look names up without importing torch and Optuna, which takes seconds.

The names complete words in the shell, and allow a misspelt word to be refused at once.
"""

from __future__ import annotations

import contextlib
import re
import sqlite3

from search.storage.database import DEFAULT_STORAGE, sqlite_path
from search.storage.installed import FOLDER

# The hyperparameters of every study and of the optimisers.
_COMMON = {
    *("activation", "batch_size", "epochs", "hidden", "lr", "optimizer"),
    *("alpha", "beta1", "beta2", "centered", "dampening", "eps", "lr_decay", "momentum", "nesterov", "weight_decay"),
}
# A technique's hyperparameters are read from the text of its file, because importing it would import torch.
_DECLARED = re.compile(r'"(\w+)": (?:Numeric|Structural)\(')


def recipes() -> list[str]:
    """Return the names of the packaged recipes, those in subfolders too."""
    folder = FOLDER / "studies"
    return sorted(file.relative_to(folder).with_suffix("").as_posix() for file in folder.rglob("*.toml"))


def hyperparameters() -> set[str]:
    """Return the names of the hyperparameters that studies have."""
    files = (FOLDER / "objectives").glob("*.py")
    return _COMMON.union(*(_DECLARED.findall(file.read_text(encoding="utf-8")) for file in files))


def studies(storage: str = DEFAULT_STORAGE) -> list[str] | None:
    """Return the names of the studies in an SQLite file; None for another database, or if they cannot be read."""
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
    """Return the completions of a study's name in a shell: the studies in ``optuna.db``, then the recipes."""
    return [*(studies() or ()), *recipes()]
