"""Where MLflow keeps a study's view: as given, or as MLflow's own variables of the environment say."""

from __future__ import annotations

import os

from search.errors import RequestError
from search.storage.database import DEFAULT_TRACKING, URI_VARIABLE, absolute, shown

AUTO, NONE = "auto", "none"
"""What a tracking URI may be given as: to be taken from the environment, and no MLflow."""
EXPERIMENT_VARIABLE = "MLFLOW_EXPERIMENT_NAME"
EXPERIMENT = "regsearch"
"""The name of MLflow's experiment for the runs of all studies, unless another is given."""


def resolved_uri(given: str | None) -> str | None:
    """Return the tracking URI that is meant, with an absolute path if it names a file; None for no MLflow.

    Args:
        given: a tracking URI; "auto" for MLFLOW_TRACKING_URI, which `mlflow.set_tracking_uri` sets too, or a file
            ``mlflow.db`` in the working directory if that is not set; "none" or None for no MLflow.
    """
    if given in (None, NONE):
        return None
    return absolute((os.environ.get(URI_VARIABLE) or DEFAULT_TRACKING) if given == AUTO else str(given))


def required_uri(given: str) -> str:
    """Return what `resolved_uri` returns, for what makes no sense without MLflow.

    Raises:
        RequestError: none is given.
    """
    if (uri := resolved_uri(given)) is None:
        raise RequestError("tracking-uri takes sqlite:///FILE, http://SERVER or another database's URL, got 'none'")
    return uri


def resolved_experiment(given: str | None) -> str:
    """Return the name of the experiment: as given, or MLFLOW_EXPERIMENT_NAME, or ``regsearch``."""
    return given or os.environ.get(EXPERIMENT_VARIABLE) or EXPERIMENT


def note(given: str | None) -> list[str]:
    """Return a note on where a tracking URI comes from, if it is taken from the environment."""
    if given != AUTO or not (uri := os.environ.get(URI_VARIABLE)):
        return []
    return [f"MLflow tracks to {shown(uri)}, as {URI_VARIABLE} says; --tracking-uri decides otherwise"]
