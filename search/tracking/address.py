"""Say where a study is seen in MLflow: the command that serves the page, and the address of the study's saved view.

MLflow is not imported for this, because that takes seconds.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from search.cli import invocation
from search.storage.database import DEFAULT_TRACKING, patience, shown, sqlite_path
from search.tracking.plan import EXPERIMENT, view_tag

_LOCAL = "http://127.0.0.1:5000"  # where `mlflow ui` listens
_PATIENCE = 3.0  # seconds for a server to answer


def lines(tracking_uri: str, study: str) -> list[str]:
    """Return what to type and what to open to see a study's runs in MLflow, a line each.

    Args:
        tracking_uri: the tracking URI of MLflow.
        study: the name of the study.
    """
    served = tracking_uri.startswith(("http://", "https://"))
    root = shown(tracking_uri).rstrip("/") if served else _LOCAL
    page = _page(root, study, *(_of_server if served else _of_database)(tracking_uri, view_tag(study)))
    if served:
        return [f"curves: {page}"]
    store = "" if _is_default(tracking_uri) else f" --backend-store-uri {shown(tracking_uri)}"
    return [f"curves: {invocation.script('mlflow')} ui{store}", f"then open {page}"]


def _page(root: str, study: str, experiment: str | None, has_view: bool) -> str:
    """Return the address of a study's saved view; if it has none yet, that of all runs or of the server."""
    if experiment is None:
        return root
    view = f"?viewStateShareKey={view_tag(study).rpartition('.')[2]}" if has_view else ""
    return f"{root}/#/experiments/{experiment}/runs{view}"


def _is_default(tracking_uri: str) -> bool:
    """Return whether `mlflow ui` serves this store without an option: MLflow 3 prefers a store in a folder mlruns."""
    other = any(Path("mlruns").glob("[0-9]*/meta.yaml"))  # a folder of files alone is no store
    overridden = "MLFLOW_BACKEND_STORE_URI" in os.environ or other
    return tracking_uri == DEFAULT_TRACKING and not overridden


def _of_database(url: str, tag: str) -> tuple[str | None, bool]:
    """Return the number of the experiment in MLflow's database, if it can be read, and whether it has a tag."""
    import sqlalchemy

    path = sqlite_path(url)
    if path is not None and not path.exists():
        return None, False
    with contextlib.suppress(sqlalchemy.exc.SQLAlchemyError, ImportError):
        engine = sqlalchemy.create_engine(url, poolclass=sqlalchemy.NullPool, **patience(url))
        with engine.connect() as connection:
            query = sqlalchemy.text("SELECT experiment_id FROM experiments WHERE name = :name")
            number = connection.execute(query, {"name": EXPERIMENT}).scalar()
            query = sqlalchemy.text("SELECT count(*) FROM experiment_tags WHERE experiment_id = :number AND key = :tag")
            tags = connection.execute(query, {"number": number, "tag": tag}).scalar()
        return None if number is None else str(number), bool(tags)
    return None, False


def _of_server(url: str, tag: str) -> tuple[str | None, bool]:
    """Return the number of the experiment on MLflow's server, if it answers, and whether it has a tag."""
    import requests

    user, password = (os.environ.get(f"MLFLOW_TRACKING_{name}") for name in ("USERNAME", "PASSWORD"))
    token = os.environ.get("MLFLOW_TRACKING_TOKEN")
    with contextlib.suppress(requests.RequestException, ValueError, KeyError, TypeError):
        answer = requests.get(
            f"{url.rstrip('/')}/api/2.0/mlflow/experiments/get-by-name",
            params={"experiment_name": EXPERIMENT},
            auth=(user, password or "") if user else None,
            headers={"Authorization": f"Bearer {token}"} if token and not user else None,
            timeout=_PATIENCE,
        )
        experiment = answer.json()["experiment"]
        return str(experiment["experiment_id"]), any(one["key"] == tag for one in experiment.get("tags", ()))
    return None, False
