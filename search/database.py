"""The study's database: opened so that faults are told in one line, and owned by one process at a time."""

from __future__ import annotations

import hashlib
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from search.errors import EnvironmentFault, RequestError

if TYPE_CHECKING:
    from optuna.storages import RDBStorage

_SQLITE = "sqlite:///"
_MAGIC = b"SQLite format 3\x00"


def sqlite_path(url: str) -> Path | None:
    """The file of an SQLite URL, None for any other URL."""
    return Path(url.removeprefix(_SQLITE)).absolute() if url.startswith(_SQLITE) and url != _SQLITE else None


def check_sqlite(url: str, what: str, *, ours: bool) -> None:
    """Make sure that an SQLite file can be written, before anything is.

    Args:
        url: any database's; only an SQLite file's is looked into.
        what: the option that named it, for the error.
        ours: whether the file is the study's own: its journal is then set so that readers (the writer process) wait
            for no writer, nor it for them. MLflow's file is left as it is.

    Raises:
        RequestError: its folder does not exist.
        EnvironmentFault: the file is not an SQLite database, or is read-only, or cannot be opened.
    """
    path = sqlite_path(url)
    if path is None:
        return
    if not path.parent.is_dir():
        raise RequestError(f"{what}: no folder {path.parent}")
    try:
        existed = path.exists()
        if existed and path.stat().st_size:
            with path.open("rb") as file:
                if file.read(len(_MAGIC)) != _MAGIC:
                    raise EnvironmentFault(f"{what}: {path} is not an SQLite database")
        connection = sqlite3.connect(path, timeout=60, isolation_level=None)
        try:
            if ours:
                connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("ROLLBACK")
            if existed:
                connection.execute("PRAGMA schema_version")
        finally:
            connection.close()
    except (sqlite3.Error, OSError) as error:
        raise EnvironmentFault(f"{what}: {path} cannot be written: {error}") from None


@contextmanager
def faults(url: str) -> Iterator[None]:
    """Turn what Optuna, SQLAlchemy and the driver raise over a broken database into one line."""
    from optuna.exceptions import StorageInternalError
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (StorageInternalError, SQLAlchemyError, sqlite3.Error) as error:
        cause = error.__cause__ or error
        reason = str(getattr(cause, "orig", None) or cause).splitlines()[0]
        raise EnvironmentFault(f"storage {shown(url)} failed: {reason}") from error


def shown(url: str) -> str:
    """A URL without its password."""
    scheme, _, rest = url.partition("://")
    credentials, at, place = rest.rpartition("@")
    return f"{scheme}://{credentials.partition(':')[0]}{at}{place}"


@contextmanager
def owned(url: str, study: str) -> Iterator[None]:
    """Own a study while the block runs: an operating system's lock, which dies with its holder.

    Raises:
        EnvironmentFault: another process on this machine is running the study.
    """
    name = hashlib.sha256(f"{sqlite_path(url) or url}\x1f{study}".encode()).hexdigest()[:24]
    lock = FileLock(Path(tempfile.gettempdir()) / f"regsearch-{name}.lock", timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise EnvironmentFault(f"study {study!r} in {shown(url)} is being run by another process") from None
    try:
        yield
    finally:
        lock.release()


def connect(url: str) -> RDBStorage:
    """Optuna's storage at a URL, its tables made where they are missing.

    Raises:
        RequestError: the URL names no database that SQLAlchemy knows.
        EnvironmentFault: the database was written by an incompatible version of Optuna.
    """
    from optuna.storages import RDBStorage
    from sqlalchemy.exc import ArgumentError, NoSuchModuleError

    # SQLite makes a second process wait for its lock; a minute is longer than any transaction here.
    options = {"connect_args": {"timeout": 60}} if url.startswith("sqlite") else {}
    try:
        return RDBStorage(url, engine_kwargs=options)
    except (ArgumentError, NoSuchModuleError, ImportError) as error:
        raise RequestError(f"storage {shown(url)!r} is not a database URL that can be used: {error}") from None
    except RuntimeError as error:
        raise EnvironmentFault(f"storage {shown(url)}: {str(error).splitlines()[0]}") from None
