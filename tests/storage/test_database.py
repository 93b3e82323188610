"""The study's file stays whole, whoever looks at it while it is open."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from support.small_studies import Quiet, small

from search.storage import database

LOOK = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute('SELECT * FROM trials').fetchall(); c.close()"


def test_a_second_study_and_another_process_leave_an_open_file_whole(tmp_path: Path) -> None:
    """Were the file opened and closed past SQLite, this process would lose its locks on it: the other one, the last to
    leave as it believes, would then take the journal away that the first study still writes to."""
    first = small(tmp_path).run(2, observers=[Quiet()])
    second = small(tmp_path, name="other")
    path = tmp_path / "study.db"
    for trials in (4, 8, 12):
        _ = second.optuna_study
        subprocess.run([sys.executable, "-c", LOOK, str(path)], check=True)
        assert Path(f"{path}-wal").exists()
        assert len(first.run(trials, observers=[Quiet()]).optuna_study.trials) == trials
        second = small(tmp_path, name="other")
        second.run(trials, observers=[Quiet()])
        subprocess.run([sys.executable, "-c", LOOK, str(path)], check=True)
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("SELECT COUNT(*) FROM trials").fetchone() == (24,)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("sqlite:///a.db", "sqlite:///a.db"),
        ("postgresql://me@db/studies", "postgresql://me@db/studies"),
        ("postgresql://me:s3cret@db:5432/studies", "postgresql://me@db:5432/studies"),
        ("postgresql://me:s3@cr:et@db/studies", "postgresql://me@db/studies"),
        (
            "postgresql://me@db/studies?password=s3cret&sslmode=require",
            "postgresql://me@db/studies?password=...&sslmode=require",
        ),
        ("postgresql:/me:s3cret@db/studies", "...@db/studies"),
        ("postgresql//me:s3cret@db/studies", "...@db/studies"),
    ],
)
def test_no_password_is_shown(url: str, shown: str) -> None:
    assert database.shown(url) == shown
