"""Commands that must fail."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from support.refusals import Refused

from search import run


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str]) -> Refused:
    """Runs a command that must fail; returns its line."""

    def attempt(*words: str, status: int = 2) -> str:
        before = contents()
        capsys.readouterr()
        assert run.main(list(words)) == status
        out, err = capsys.readouterr()
        assert out == ""
        assert re.fullmatch(r"error: [^\n]+\n", err), err
        assert len(err) < 1200
        assert contents() == before
        return err.strip()

    return attempt


def contents() -> dict[str, object]:
    """What each file holds; of a database what it says, as earlier commands decide when its journal moves into it."""
    files = [path for path in Path().rglob("*") if path.is_file() and not path.name.endswith(("-wal", "-shm"))]
    return {str(path): _content(path) for path in files}


def _content(path: Path) -> object:
    try:
        with closing(sqlite3.connect(path)) as connection:
            return list(connection.iterdump())
    except sqlite3.DatabaseError:
        return path.read_bytes()
