"""Storages and tracking URIs that are no databases of ours: one line that says so, and nothing written."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from support.refusals import FAST, RAW_STORAGE, Refused, raw_study

pytestmark = pytest.mark.usefixtures("in_an_empty_folder")


def broken_file(kind: str) -> None:
    path = Path("raw.db")
    if kind == "text":
        path.write_text("not a database\n")
    elif kind == "header only":
        path.write_bytes(b"SQLite format 3\x00")
    elif kind == "folder":
        path.mkdir()
    elif kind == "dangling link":
        path.symlink_to("/nonexistent/x.db")
    else:  # truncated
        raw_study()
        content = path.read_bytes()
        path.write_bytes(content[: len(content) // 2])


@pytest.mark.parametrize("option", ["--storage", "--tracking-uri"])
@pytest.mark.parametrize("kind", ["text", "header only", "folder", "truncated"])
def test_a_file_that_is_no_database_is_the_machines_fault(refused: Refused, kind: str, option: str) -> None:
    broken_file(kind)
    said = refused("l2", *FAST, option, RAW_STORAGE, status=1)
    assert f"{option[2:]}: " in said
    assert "raw.db" in said


@pytest.mark.parametrize("option", ["--storage", "--tracking-uri"])
def test_a_file_that_cannot_be_written_is_found_before_the_other_one_is_made(refused: Refused, option: str) -> None:
    # Root may write to a read-only file; to /proc nobody may.
    assert "/proc/x.db cannot be used" in refused("l2", *FAST, option, "sqlite:////proc/x.db", status=1)
    assert "no folder /nonexistent" in refused("l2", *FAST, option, "sqlite:////nonexistent/x.db")
    broken_file("dangling link")
    assert "no folder /nonexistent" in refused("l2", *FAST, option, RAW_STORAGE)


def test_optuna_and_mlflow_never_share_a_file(refused: Refused) -> None:
    assert "each need a database of their own" in refused("l2", "--tracking-uri", "sqlite:///optuna.db")
    Path("below").mkdir()
    assert "each need a database of their own" in refused("l2", "--tracking-uri", "sqlite:///below/../optuna.db")
    same = "postgresql://me:secret@host/db"
    assert "secret" not in refused("l2", "--storage", same, "--tracking-uri", same)
    raw_study()
    assert "holds Optuna's studies" in refused("l2", "--tracking-uri", RAW_STORAGE)
    Path("link.db").symlink_to("raw.db")
    assert "holds Optuna's studies" in refused("l2", "--tracking-uri", "sqlite:///link.db")
    with sqlite3.connect("other.db") as other:
        other.execute("CREATE TABLE experiments (a)")
    assert "holds MLflow's runs" in refused("l2", "--storage", "sqlite:///other.db")
    with sqlite3.connect("mine.db") as mine:
        mine.execute("CREATE TABLE recipes (a)")
    assert "holds other tables (recipes)" in refused("l2", "--storage", "sqlite:///mine.db")


@pytest.mark.parametrize(
    ("url", "says", "status"),
    [
        ("", "got ''", 2),
        ("optuna.db", "such as sqlite:///optuna.db, got 'optuna.db'", 2),
        ("http://x", "got 'http://x'", 2),
        ("sqlite://", "takes a file", 2),
        ("sqlite:///:memory:", "takes a file", 2),
        ("sqlite:///a\x00b", "takes a file", 2),
        ("sqlite+nope:///raw.db", "takes a file", 2),
        ("postgresql://me:secret@host:port/db", "got 'postgresql://me@host:port/db'", 2),
        ("mysql+pymysql://me:secret@host/db", "its driver is not installed: No module named 'pymysql'", 1),
    ],
)
def test_a_storage_that_is_no_database(refused: Refused, url: str, says: str, status: int) -> None:
    said = refused("l2", *FAST, "--storage", url, status=status)
    assert says in said
    assert "secret" not in said


@pytest.mark.parametrize("uri", ["", "mlruns", "None", "foo://x", "sqlite://"])
def test_a_tracking_uri_that_mlflow_would_not_take(refused: Refused, uri: str) -> None:
    assert "tracking-uri takes" in refused("l2", *FAST, "--tracking-uri", uri)
