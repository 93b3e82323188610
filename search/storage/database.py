"""The study's database, opened so that faults are told in one line."""

from __future__ import annotations

import os
import re
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from search.errors import EnvironmentFault, RequestError, clip, nearest

if TYPE_CHECKING:
    from optuna.storages import RDBStorage
    from sqlalchemy import URL

DEFAULT_STORAGE = "sqlite:///optuna.db"
DEFAULT_TRACKING = "sqlite:///mlflow.db"
_OPTUNA_TABLES = {"studies", "trials", "version_info"}
# Seconds of silence until the other machine is asked for a sign of life, between two asks, and how many go unanswered.
_IDLE, _INTERVAL, _COUNT = 30, 10, 3
# Nobody is asked while something that was sent is not acknowledged: that alone would go on for a quarter of an hour.
_UNACKNOWLEDGED = 1000 * (_IDLE + _INTERVAL * _COUNT)  # milliseconds
_OF_SERVER = {
    "tcp_keepalives_idle": _IDLE,
    "tcp_keepalives_interval": _INTERVAL,
    "tcp_keepalives_count": _COUNT,
    "tcp_user_timeout": _UNACKNOWLEDGED,
}
_OF_CLIENT = {
    "keepalives_idle": _IDLE,
    "keepalives_interval": _INTERVAL,
    "keepalives_count": _COUNT,
    "tcp_user_timeout": _UNACKNOWLEDGED,
    "connect_timeout": 30,
}
# What MLflow tracks to; its stores of plain files are closed to new runs.
_TRACKING = ("sqlite", "postgresql", "mysql", "mssql", "http", "https", "databricks")


def sqlite_path(url: str) -> Path | None:
    """The file of an SQLite URL, None for any other URL."""
    parts = _parsed(url)
    if parts is None or parts.get_backend_name() != "sqlite" or parts.query.get("uri"):
        return None
    return None if parts.database in (None, "", ":memory:") else Path(parts.database).absolute()


def backend(url: str) -> str | None:
    """The kind of database that a URL names, such as "sqlite" or "postgresql"; None if it names none."""
    parts = _parsed(url)
    return None if parts is None else parts.get_backend_name()


def _parsed(url: str) -> URL | None:
    from sqlalchemy import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        parts = make_url(url)
        parts.get_dialect()
        return parts
    # A port that is no number is a plain ValueError, which may quote a piece of the password.
    except (ArgumentError, ValueError):
        return None


def check_places(storage: str, tracking_uri: str | None) -> None:
    """Make sure that a study can be kept here, before anything is written anywhere.

    Raises:
        RequestError: one of the two is no place for what it is to hold, or both are the same place.
        EnvironmentFault: a file of theirs cannot be used.
    """
    check_sqlite(storage, "storage", ours=True)
    if tracking_uri is None:
        return
    scheme = tracking_uri.partition("://")[0].partition("+")[0]
    if scheme not in _TRACKING or ("://" not in tracking_uri and scheme != "databricks"):
        raise RequestError(
            f"tracking-uri takes none, sqlite:///FILE, http://SERVER or another database's URL,"
            f" got {clip(shown(tracking_uri))!r}{nearest(scheme, _TRACKING)}"
        )
    check_sqlite(tracking_uri, "tracking-uri", ours=False)
    mine, other = sqlite_path(storage), sqlite_path(tracking_uri)
    if storage == tracking_uri or (mine and other and os.path.realpath(mine) == os.path.realpath(other)):
        raise RequestError(
            f"storage and tracking-uri both name {shown(storage)}: Optuna and MLflow need a database each,"
            " such as sqlite:///optuna.db and sqlite:///mlflow.db"
        )


def check_there(storage: str) -> None:
    """Make sure that a study may be found here: nothing is made.

    Raises:
        RequestError: there is no such file, or it holds something else.
        EnvironmentFault: the file cannot be used.
    """
    path = sqlite_path(storage)
    if path is not None and not path.exists():
        raise RequestError(f"storage: there is no {path}: run a study first, or name its database with --storage")
    check_sqlite(storage, "storage", ours=True)


def check_sqlite(url: str, what: str, *, ours: bool) -> None:
    """Make sure that an SQLite file can be written; it is left as it is, and one that is missing is not made.

    Args:
        url: any database's; only an SQLite file's is looked into.
        what: the option that named it, for the error.
        ours: whether the file is to hold the study, else MLflow's view of it.

    Raises:
        RequestError: its folder does not exist, it is in memory only, or it holds something else.
        EnvironmentFault: the file is not an SQLite database, or is read-only, or cannot be opened.
    """
    path = sqlite_path(url)
    if path is None or "\0" in url:
        if url.startswith("sqlite"):
            raise RequestError(f"{what} takes a file, as in sqlite:///{'optuna' if ours else 'mlflow'}.db, got {url!r}")
        return
    real = Path(os.path.realpath(path))
    if not os.path.isdir(real.parent):
        raise RequestError(f"{what}: no folder {clip(str(real.parent), 200)}")
    try:
        if not real.exists() or not real.stat().st_size:
            # Not by making the file: a second process may have it open by the time that it would be taken away again.
            tempfile.TemporaryFile(dir=real.parent).close()
        if real.exists():
            _check_kind(_tables(real, what), real, what, ours=ours)
    except (sqlite3.Error, OSError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise EnvironmentFault(f"{what}: {clip(str(path), 200)} cannot be used: {reason}") from None


def _tables(path: Path, what: str) -> set[str]:
    """The tables of an SQLite file, after a transaction that could have written to it."""
    # By SQLite itself: whoever else opens a file and closes it takes from this process all locks that it holds there,
    # and another process then removes the journal that an open study writes to (sqlite.org/howtocorrupt.html, 2.2).
    connection = sqlite3.connect(path, timeout=60, isolation_level=None)
    try:
        connection.execute("BEGIN IMMEDIATE")
        names = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        connection.execute("ROLLBACK")
        return names
    except sqlite3.DatabaseError as error:
        if error.sqlite_errorcode == sqlite3.SQLITE_NOTADB:
            raise EnvironmentFault(f"{what}: {path} is not an SQLite database") from None
        raise
    finally:
        connection.close()


def has_studies(path: Path) -> bool:
    """Whether an SQLite file is there and has Optuna's tables; it is opened to read only, as `_tables` does not."""
    if not path.exists() or not path.stat().st_size:
        return False
    try:
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=5)) as connection:
            names = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    except sqlite3.Error as error:
        raise EnvironmentFault(f"storage {clip(str(path), 200)} cannot be read: {error}") from None
    return names >= _OPTUNA_TABLES


def _check_kind(tables: set[str], path: Path, what: str, *, ours: bool) -> None:
    """Optuna's and MLflow's tables in one file would overwrite each other's versions; anybody else's are not ours."""
    if not ours and tables & _OPTUNA_TABLES:
        raise RequestError(f"{what}: {path} holds Optuna's studies: MLflow needs a file of its own")
    if ours and tables and ("experiments" in tables or not tables & _OPTUNA_TABLES):
        kind = "MLflow's runs" if "experiments" in tables else f"other tables ({clip(', '.join(sorted(tables)))})"
        raise RequestError(f"{what}: {path} holds {kind}: the study needs a file of its own")


@contextmanager
def faults(url: str) -> Iterator[None]:
    """Turn what Optuna, SQLAlchemy and the driver raise over a broken database into one line."""
    from optuna.exceptions import StorageInternalError
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except ImportError as error:
        raise _no_driver(url, error) from None
    except (StorageInternalError, SQLAlchemyError, sqlite3.Error) as error:
        raise EnvironmentFault(f"storage {shown(url)} failed: {reason(error)}") from error


def _no_driver(url: str, error: ImportError) -> EnvironmentFault:
    return EnvironmentFault(f"storage {shown(url)}: no driver for it is installed: {error.__cause__ or error}")


def reason(error: Exception) -> str:
    """What the database itself says, beneath what Optuna and SQLAlchemy make of it."""
    found = cause(error)
    return str(getattr(found, "orig", None) or found).splitlines()[0]


def cause(error: Exception) -> BaseException:
    """What SQLAlchemy has raised, beneath what Optuna makes of it."""
    from optuna.exceptions import StorageInternalError

    return (error.__cause__ if isinstance(error, StorageInternalError) else None) or error


def shown(url: str) -> str:
    """A URL without its password; what is mistyped, too."""
    scheme, slashes, rest = url.partition("://")
    credentials, at, place = rest.rpartition("@")
    if not slashes and "@" in url:
        return f"...@{url.rpartition('@')[2]}"
    return re.sub(r"([?&]password=)[^&]*", r"\1...", f"{scheme}{slashes}{credentials.partition(':')[0]}{at}{place}")


def patience(url: str) -> dict[str, Any]:
    """Options of an engine: PostgreSQL and its client give each other up after a minute when a machine vanishes.

    The server would otherwise keep the locks of a vanished client, and a client wait for a vanished server, for a
    quarter of an hour, or two hours, by the operating system's defaults.

    Sources: PostgreSQL, "TCP settings", section 20.3.2, and "Parameter key words", section 34.1.2.
    """
    parts = _parsed(url)
    if parts is None or parts.get_backend_name() != "postgresql":
        return {}
    options: dict[str, Any] = {"pool_events": [(_set_patience, "connect")]}
    if parts.get_driver_name().startswith("psycopg"):  # the names are libpq's; what the URL says goes before
        options["connect_args"] = {name: value for name, value in _OF_CLIENT.items() if name not in parts.query}
    return options


def _set_patience(connection: Any, _: object) -> None:
    # Not by libpq's "options", which some poolers refuse.
    settings = ", ".join(f"set_config('{name}', '{value}', false)" for name, value in _OF_SERVER.items())
    with closing(connection.cursor()) as cursor:
        cursor.execute(f"SELECT {settings}")
    connection.commit()  # a rollback would undo it


def connect(url: str) -> RDBStorage:
    """Optuna's storage at a URL, its tables made where they are missing.

    Raises:
        RequestError: the URL names no database that SQLAlchemy knows.
        EnvironmentFault: its driver is not installed, or an incompatible version of Optuna wrote the database.
    """
    from optuna.storages import RDBStorage

    if _parsed(url) is None:
        raise RequestError(
            f"storage takes the URL of a database, such as sqlite:///optuna.db, got {clip(shown(url))!r}"
        )
    if (path := sqlite_path(url)) is not None and url.startswith("sqlite:"):
        _begin(path)
    options = {"pool_pre_ping": True} | patience(url)  # a server may have been restarted in between
    if url.startswith("sqlite"):  # a second process waits for its lock: a minute is longer than any transaction here
        options = {"connect_args": {"timeout": 60, "factory": _Connection}}
    try:
        return RDBStorage(url, engine_kwargs=options)
    except ImportError as error:
        raise _no_driver(url, error) from None
    except RuntimeError as error:
        raise EnvironmentFault(f"storage {shown(url)}: {str(error).splitlines()[0]}") from None


class _Connection(sqlite3.Connection):
    """Waits for the disk at checkpoints of the journal only, not at each of the transactions, a dozen a trial.

    A killed process loses nothing by it; when the power fails, the last trials may be as before, which is what the next
    run takes up. Other journals than a write-ahead log need the wait at every transaction.
    """

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        if self.execute("PRAGMA journal_mode").fetchone() == ("wal",):
            self.execute("PRAGMA synchronous=NORMAL")


def _begin(path: Path) -> None:
    """Make a new file keep a journal with which readers (the writer process) wait for no writer, nor it for them."""
    if path.exists() and path.stat().st_size:
        return
    connection = sqlite3.connect(path, timeout=60, isolation_level=None)
    try:
        connection.execute("PRAGMA journal_mode=WAL")
    finally:
        connection.close()
