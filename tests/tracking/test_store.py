"""The files that MLflow's runs are kept in."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from search.tracking.store import opened


def test_whoever_reads_a_new_file_does_not_keep_the_writer_waiting(tmp_path: Path) -> None:
    client = opened(f"sqlite:///{tmp_path}/mlflow.db")
    reader = sqlite3.connect(tmp_path / "mlflow.db", isolation_level=None)
    try:
        reader.execute("BEGIN")
        before = reader.execute("SELECT name FROM experiments").fetchall()
        client.create_experiment("regsearch")  # it would fail if it had to wait for the end of the reader's transaction
        assert reader.execute("SELECT name FROM experiments").fetchall() == before
    finally:
        reader.close()
    assert client.get_experiment_by_name("regsearch") is not None
