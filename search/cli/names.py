"""Names that can be looked up before torch and Optuna are imported, which takes seconds.

They complete words in the shell, and they let a misspelt word be refused at once.
"""

from __future__ import annotations

import contextlib
import re
import sqlite3
from pathlib import Path

from search.storage.database import DEFAULT_STORAGE, sqlite_path

# By place, not by name: a folder `studies` of the user's may come first on the path.
_INSTALLED = Path(__file__).resolve().parents[2]
# Those of every study and of the optimisers.
_COMMON = {
    *("activation", "batch_size", "epochs", "hidden", "lr", "optimizer"),
    *("alpha", "beta1", "beta2", "centered", "dampening", "eps", "lr_decay", "momentum", "nesterov", "weight_decay"),
}
# Those of a technique, as its file declares them: to import it would import torch.
_DECLARED = re.compile(r'"(\w+)": (?:Numeric|Structural)\(')


def recipes() -> list[str]:
    """Return the names of the packaged recipes, those in subfolders too."""
    folder = _INSTALLED / "studies"
    return sorted(file.relative_to(folder).with_suffix("").as_posix() for file in folder.rglob("*.toml"))


def hyperparameters() -> set[str]:
    """Return the names of the hyperparameters that studies have."""
    files = (_INSTALLED / "objectives").glob("*.py")
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
