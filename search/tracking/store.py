"""MLflow's store, opened and searched: a file that can't be is found out at once, a new one is whole or not there."""

from __future__ import annotations

import glob
import os
import sqlite3
import time
from pathlib import Path

from mlflow import MlflowClient


def opened(uri: str) -> MlflowClient:
    """A client; a SQLite file that can't be opened is found out here, where MLflow would retry for 100 s."""
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


def _is_new(path: Path) -> bool:
    return not path.exists() or not path.stat().st_size


def _create(path: Path) -> None:
    """Make MLflow's tables in a file of another name, which is given its own when they are all there.

    They are made in hundreds of steps that are no transaction: a file cut off in between can never be opened again.
    """
    for left_over in glob.glob(f"{glob.escape(str(path))}.unfinished-*"):
        os.unlink(left_over)
    # A name of its own each time: MLflow keeps connections, by name, for as long as the process lives.
    unfinished = f"{path}.unfinished-{time.time_ns()}"
    MlflowClient(f"sqlite:///{unfinished}").search_experiments(max_results=1)
    if _is_new(path):
        os.replace(unfinished, path)
    else:  # somebody has opened MLflow in the meantime
        os.unlink(unfinished)


def tagged(tag: str, value: str) -> str:
    """MLflow's filter for the runs with a tag. It has no escapes: a quote in the value becomes LIKE's wildcard."""
    operator = "LIKE" if "'" in value else "="
    name = value.replace("'", "_")
    return f"tags.`{tag}` {operator} '{name}'"
