"""Say where a study is seen in MLflow: the command that serves the page, and the address of the study's saved view.

MLflow is not imported for this, because that takes seconds.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from search.cli import invocation
from search.storage.database import DEFAULT_TRACKING, shown, sqlite_path
from search.storage.patience import patience
from search.tracking.plan import view_tag

_LOCAL = "http://127.0.0.1:5000"  # where `mlflow ui` listens
_PATIENCE = 3.0  # seconds for a server to answer


def lines(tracking_uri: str, study: str, experiment: str) -> list[str]:
    """Return what to type and what to open to see a study's runs in MLflow, a line each.

    Args:
        tracking_uri: the tracking URI of MLflow.
        study: the name of the study.
        experiment: the name of MLflow's experiment.

    Returns:
        The lines; none if a server does not answer.
    """
    found = page(tracking_uri, study, experiment)
    if is_server(tracking_uri):
        return [] if found is None else [f"curves: {found}"]
    store = "" if _is_default(tracking_uri) else f" --backend-store-uri {shown(tracking_uri)}"
    return [f"curves: {invocation.script('mlflow')} ui{store}", f"then open {found or _LOCAL}"]


def is_server(tracking_uri: str) -> bool:
    """Return whether MLflow's server is named, which has a page, and not a database."""
    return tracking_uri.startswith(("http://", "https://"))


def page(tracking_uri: str, study: str, experiment: str, local: str = _LOCAL) -> str | None:
    """Return the address of a study's saved view, or of all runs of the experiment if the study has no view yet.

    Args:
        tracking_uri: the tracking URI of MLflow.
        study: the name of the study.
        experiment: the name of MLflow's experiment.
        local: the address at which the page of a database is served.

    Returns:
        The address; None if a server does not answer or there is no such experiment.
    """
    found = (_of_server if is_server(tracking_uri) else _of_database)(tracking_uri, experiment, view_tag(study))
    number, has_view = found
    if number is None:
        return None
    root = shown(tracking_uri).rstrip("/") if is_server(tracking_uri) else local
    view = f"?viewStateShareKey={view_tag(study).rpartition('.')[2]}" if has_view else ""
    return f"{root}/#/experiments/{number}/runs{view}"


def _is_default(tracking_uri: str) -> bool:
    """Return whether `mlflow ui` serves this store without an option: MLflow 3 prefers a store in a folder mlruns."""
    other = any(Path("mlruns").glob("[0-9]*/meta.yaml"))  # a folder of files alone is no store
    overridden = "MLFLOW_BACKEND_STORE_URI" in os.environ or other
    return sqlite_path(tracking_uri) == sqlite_path(DEFAULT_TRACKING) and not overridden


def _of_database(url: str, experiment: str, tag: str) -> tuple[str | None, bool]:
    """Return the number of the experiment in MLflow's database, if it can be read, and whether it has a tag."""
    import sqlalchemy

    path = sqlite_path(url)
    if path is not None and not path.exists():
        return None, False
    with contextlib.suppress(sqlalchemy.exc.SQLAlchemyError, ImportError):
        engine = sqlalchemy.create_engine(url, poolclass=sqlalchemy.NullPool, **patience(url))
        with engine.connect() as connection:
            query = sqlalchemy.text("SELECT experiment_id FROM experiments WHERE name = :name")
            number = connection.execute(query, {"name": experiment}).scalar()
            query = sqlalchemy.text("SELECT count(*) FROM experiment_tags WHERE experiment_id = :number AND key = :tag")
            tags = connection.execute(query, {"number": number, "tag": tag}).scalar()
        return None if number is None else str(number), bool(tags)
    return None, False


def _of_server(url: str, experiment: str, tag: str) -> tuple[str | None, bool]:
    """Return the number of the experiment on MLflow's server, if it answers, and whether it has a tag."""
    import requests

    user, password = (os.environ.get(f"MLFLOW_TRACKING_{name}") for name in ("USERNAME", "PASSWORD"))
    token = os.environ.get("MLFLOW_TRACKING_TOKEN")
    with contextlib.suppress(requests.RequestException, ValueError, KeyError, TypeError):
        answer = requests.get(
            f"{url.rstrip('/')}/api/2.0/mlflow/experiments/get-by-name",
            params={"experiment_name": experiment},
            auth=(user, password or "") if user else None,
            headers={"Authorization": f"Bearer {token}"} if token and not user else None,
            timeout=_PATIENCE,
        )
        found = answer.json()["experiment"]
        return str(found["experiment_id"]), any(one["key"] == tag for one in found.get("tags", ()))
    return None, False
