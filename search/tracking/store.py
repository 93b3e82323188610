"""Open MLflow's store: a file that cannot be opened raises at once, and a new file is created whole or not at all."""

from __future__ import annotations

import glob
import os
import sqlite3
import time
from pathlib import Path

from mlflow import MlflowClient


def opened(uri: str) -> MlflowClient:
    """Return a client; an SQLite file that cannot be opened raises here, where MLflow would retry for 100 s."""
    if uri.startswith("sqlite:///"):
        path = Path(uri.removeprefix("sqlite:///").split("?")[0])
        path.parent.mkdir(parents=True, exist_ok=True)
        if _is_new(path):
            _create(path)
        connection = sqlite3.connect(path)
        try:
            connection.execute("PRAGMA schema_version")
        finally:
            connection.close()
    return MlflowClient(uri)


def artifacts(uri: str, experiment: str) -> str | None:
    """Return the folder for the files of a new experiment: beside an SQLite file, otherwise None for MLflow's default.

    MLflow's default would be the folder in which the command happens to run.
    """
    if not uri.startswith("sqlite:///"):
        return None
    database = Path(uri.removeprefix("sqlite:///").split("?")[0]).absolute()
    return str(database.with_name("mlruns") / experiment)


def _is_new(path: Path) -> bool:
    return not path.exists() or not path.stat().st_size


def _create(path: Path) -> None:
    """Create MLflow's tables in a file under another name, and rename the file when it has all of them.

    MLflow creates them in hundreds of steps without a transaction. A file left by a kill in between would never open
    again.
    """
    for left_over in glob.glob(f"{glob.escape(str(path))}.unfinished-*"):
        os.unlink(left_over)
    # The name is new each time: MLflow keeps connections, by name, for as long as the process lives.
    unfinished = f"{path}.unfinished-{time.time_ns()}"
    MlflowClient(f"sqlite:///{unfinished}").search_experiments(max_results=1)
    if _is_new(path):
        os.replace(unfinished, path)
    else:  # another process has created the file in the meantime
        os.unlink(unfinished)


def tagged(tag: str, value: str) -> str:
    """Return MLflow's filter for runs with a tag; its syntax has no escapes, so a quote becomes LIKE's wildcard."""
    operator = "LIKE" if "'" in value else "="
    name = value.replace("'", "_")
    return f"tags.`{tag}` {operator} '{name}'"
