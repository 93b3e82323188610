"""The database of a study: validate its URL, open it, and report its faults in one line each."""

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
from search.storage.patience import patience
from search.storage.urls import parsed

if TYPE_CHECKING:
    from optuna.storages import RDBStorage

DEFAULT_STORAGE = "sqlite:///optuna.db"
DEFAULT_TRACKING = "sqlite:///mlflow.db"
URI_VARIABLE = "MLFLOW_TRACKING_URI"
_OPTUNA_TABLES = {"studies", "trials", "version_info"}
# The stores that MLflow can track to. Its plain-file store no longer accepts new runs.
_TRACKING = ("sqlite", "postgresql", "mysql", "mssql", "http", "https", "databricks")


def sqlite_path(url: str) -> Path | None:
    """Return the file of an SQLite URL, None for any other URL."""
    parts = parsed(url)
    if parts is None or parts.get_backend_name() != "sqlite" or parts.query.get("uri"):
        return None
    return None if parts.database in (None, "", ":memory:") else Path(parts.database).absolute()


def absolute(url: str) -> str:
    """Return a URL whose file, if it names one, has an absolute path, so that it is the same in any folder."""
    path, parts = sqlite_path(url), parsed(url)
    if path is None or parts is None or not str(path).isprintable():
        return url
    return parts.set(database=str(path)).render_as_string(hide_password=False)


def backend(url: str) -> str | None:
    """Return the kind of database that a URL names, such as "sqlite" or "postgresql"; None if it names none."""
    parts = parsed(url)
    return None if parts is None else parts.get_backend_name()


def validate_databases(storage: str, tracking_uri: str | None) -> None:
    """Validate that both databases are suitable, before anything is written.

    Raises:
        RequestError: one of the URLs is of the wrong kind, or both name the same database.
        EnvironmentFault: one of the files cannot be used.
    """
    validate_sqlite(storage, "storage", ours=True)
    if tracking_uri is None:
        return
    scheme = tracking_uri.partition("://")[0].partition("+")[0]
    if scheme not in _TRACKING or ("://" not in tracking_uri and scheme != "databricks"):
        raise RequestError(
            f"{_source(tracking_uri)} takes none, sqlite:///FILE, http://SERVER or the URL of another database,"
            f" got {clip(shown(tracking_uri))!r}{nearest(scheme, _TRACKING)}"
        )
    validate_sqlite(tracking_uri, "tracking-uri", ours=False)
    mine, other = sqlite_path(storage), sqlite_path(tracking_uri)
    if storage == tracking_uri or (mine and other and os.path.realpath(mine) == os.path.realpath(other)):
        raise RequestError(
            f"storage and tracking-uri both name {shown(storage)}: Optuna and MLflow each need a database of their own,"
            " such as sqlite:///optuna.db and sqlite:///mlflow.db"
        )


def _source(tracking_uri: str) -> str:
    """Return what a tracking URI was given by, for an error."""
    from_variable = os.environ.get(URI_VARIABLE) == tracking_uri
    return f"{URI_VARIABLE} (see --tracking-uri)" if from_variable else "tracking-uri"


def validate_present(storage: str) -> None:
    """Validate that a storage may hold studies; nothing is created.

    Raises:
        RequestError: there is no such file, or it holds something else.
        EnvironmentFault: the file cannot be used.
    """
    path = sqlite_path(storage)
    if path is not None and not path.exists():
        raise RequestError(f"storage: there is no {path}: run a study first, or name its database with --storage")
    validate_sqlite(storage, "storage", ours=True)


def validate_sqlite(url: str, what: str, *, ours: bool) -> None:
    """Validate that an SQLite file can be written. The file is not changed, and a missing one is not created.

    Args:
        url: the URL of a database; only an SQLite file is examined.
        what: the option that named it, for the error.
        ours: whether the file should hold the study; otherwise it should hold MLflow's view of it.

    Raises:
        RequestError: its folder does not exist, the database is in memory only, or the file holds something else.
        EnvironmentFault: the file is not an SQLite database, or is read-only, or cannot be opened.
    """
    path = sqlite_path(url)
    if path is None or "\0" in url:
        if url.startswith("sqlite"):
            raise RequestError(f"{what} takes a file, as in sqlite:///{'optuna' if ours else 'mlflow'}.db, got {url!r}")
        return
    real = Path(os.path.realpath(path))
    if not os.path.isdir(real.parent):
        raise RequestError(f"{what}: there is no folder {clip(str(real.parent), 200)}")
    try:
        if not real.exists() or not real.stat().st_size:
            # No file is created as a test: by the time it is removed, another process might have opened it.
            tempfile.TemporaryFile(dir=real.parent).close()
        if real.exists():
            _validate_tables(_tables(real, what), real, what, ours=ours)
    except (sqlite3.Error, OSError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise EnvironmentFault(f"{what}: {clip(str(path), 200)} cannot be used: {reason}") from None


def _tables(path: Path, what: str) -> set[str]:
    """Return the names of the tables in an SQLite file, and make sure that a transaction can write to it."""
    # SQLite must do this: a plain open and close of the file would drop all locks that this process holds on it, and
    # another process would then remove the journal that an open study writes to (sqlite.org/howtocorrupt.html, 2.2).
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
    """Return whether an SQLite file exists and has Optuna's tables; the file is only read."""
    if not path.exists() or not path.stat().st_size:
        return False
    try:
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=5)) as connection:
            names = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    except sqlite3.Error as error:
        raise EnvironmentFault(f"storage {clip(str(path), 200)} cannot be read: {error}") from None
    return names >= _OPTUNA_TABLES


def _validate_tables(tables: set[str], path: Path, what: str, *, ours: bool) -> None:
    """Refuse a file with somebody else's tables; Optuna and MLflow would overwrite each other's version number."""
    if not ours and tables & _OPTUNA_TABLES:
        raise RequestError(f"{what}: {path} holds Optuna's studies: MLflow needs another file")
    if ours and tables and ("experiments" in tables or not tables & _OPTUNA_TABLES):
        kind = "MLflow's runs" if "experiments" in tables else f"other tables ({clip(', '.join(sorted(tables)))})"
        raise RequestError(f"{what}: {path} holds {kind}: the study needs another file")


@contextmanager
def faults(url: str) -> Iterator[None]:
    """Turn the errors of Optuna, SQLAlchemy and the driver into an EnvironmentFault of one line."""
    from optuna.exceptions import StorageInternalError
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except ImportError as error:
        raise _no_driver(url, error) from None
    except (StorageInternalError, SQLAlchemyError, sqlite3.Error) as error:
        raise EnvironmentFault(f"storage {shown(url)} failed: {reason(error)}") from error


def _no_driver(url: str, error: ImportError) -> EnvironmentFault:
    return EnvironmentFault(f"storage {shown(url)}: its driver is not installed: {error.__cause__ or error}")


def reason(error: Exception) -> str:
    """Return the database's own message, without what Optuna and SQLAlchemy add to it."""
    found = cause(error)
    return str(getattr(found, "orig", None) or found).splitlines()[0]


def cause(error: Exception) -> BaseException:
    """Return SQLAlchemy's error, without Optuna's around it."""
    from optuna.exceptions import StorageInternalError

    return (error.__cause__ if isinstance(error, StorageInternalError) else None) or error


def shown(url: str) -> str:
    """Return a URL as a person should see it: without its password, and with a relative path for a file in this folder.

    A mistyped URL shows no password either.
    """
    path = sqlite_path(url)
    if path is not None and "?" not in url and path.is_relative_to(Path.cwd()):
        return f"{url.partition(':')[0]}:///{path.relative_to(Path.cwd())}"
    scheme, slashes, rest = url.partition("://")
    credentials, at, place = rest.rpartition("@")
    if not slashes and "@" in url:
        return f"...@{url.rpartition('@')[2]}"
    return re.sub(r"([?&]password=)[^&]*", r"\1...", f"{scheme}{slashes}{credentials.partition(':')[0]}{at}{place}")


def connect(url: str) -> RDBStorage:
    """Open Optuna's storage at a URL; missing tables are created.

    Raises:
        RequestError: the URL names no database that SQLAlchemy knows.
        EnvironmentFault: its driver is not installed, or an incompatible version of Optuna wrote the database.
    """
    from optuna.storages import RDBStorage

    if parsed(url) is None:
        raise RequestError(
            f"storage takes the URL of a database, such as sqlite:///optuna.db, got {clip(shown(url))!r}"
        )
    if (path := sqlite_path(url)) is not None and url.startswith("sqlite:"):
        _begin(path)
    options = {"pool_pre_ping": True} | patience(url)  # the server may have been restarted since
    if url.startswith("sqlite"):  # a second process waits for the lock: a minute is longer than any transaction here
        options = {"connect_args": {"timeout": 60, "factory": _Connection}}
    try:
        return RDBStorage(url, engine_kwargs=options)
    except ImportError as error:
        raise _no_driver(url, error) from None
    except RuntimeError as error:
        raise EnvironmentFault(f"storage {shown(url)}: {str(error).splitlines()[0]}") from None


class _Connection(sqlite3.Connection):
    """A connection that waits for the disk at checkpoints of the journal only, not at every transaction.

    A trial takes a dozen transactions. A killed process loses nothing by this. A power failure may undo the last
    transactions, and the next run continues from there. This is safe only with a write-ahead log.
    """

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        if self.execute("PRAGMA journal_mode").fetchone() == ("wal",):
            self.execute("PRAGMA synchronous=NORMAL")


def _begin(path: Path) -> None:
    """Set a new file to use a write-ahead log, so that readers and the writer do not wait for each other."""
    if path.exists() and path.stat().st_size:
        return
    connection = sqlite3.connect(path, timeout=60, isolation_level=None)
    try:
        connection.execute("PRAGMA journal_mode=WAL")
    finally:
        connection.close()
