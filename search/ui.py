"""`regsearch ui [STUDY]`: open MLflow's page, or optuna-dashboard's, at a study, also while it runs."""

from __future__ import annotations

import contextlib
import shutil
import sys
import webbrowser
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

from search.cli.command import leave, serve
from search.cli.names import complete_study
from search.cli.opening import opening
from search.cli.options import Experiment, Storage, TrackingUri, application, argument, command, flag, option
from search.cli.stored import validate_words
from search.errors import EnvironmentFault, RequestError
from search.storage import database
from search.storage.database import DEFAULT_STORAGE
from search.storage.tracking import AUTO, required_uri, resolved_experiment

_MLFLOW, _DASHBOARD = 5000, 8080

app = application()


@command(app)
def ui(
    study: Annotated[
        str | None,
        argument("A study's name, such as l2-digits, or its recipe; by default all studies.", "STUDY", complete_study),
    ] = None,
    dashboard: Annotated[bool, flag("Open optuna-dashboard instead of MLflow.", "--dashboard")] = False,
    port: Annotated[
        int | None, option("The port to serve the page at.", default=f"{_MLFLOW}, or {_DASHBOARD} with --dashboard")
    ] = None,
    no_open: Annotated[bool, flag("Print the address, and open no browser.", "--no-open")] = False,
    storage: Storage = DEFAULT_STORAGE,
    tracking_uri: TrackingUri = AUTO,
    experiment: Experiment = None,
) -> None:
    """Open the page of a study in a browser, until Ctrl-C: its runs and curves, also while it runs.

    The page is MLflow's, on the database that the study is tracked to, or that of optuna-dashboard on its storage. A
    page that a server has already is opened there.
    """
    if port is not None and not 0 < port < 2**16:
        raise RequestError(f"port takes a number from 1 to 65535, got {port}")
    storage = database.absolute(storage)
    database.validate_present(storage)
    validate_words([] if study is None else [study], storage, "study")
    with opening(study or "the page"):
        name = None if study is None else _find(storage, study)
    if dashboard:
        _serve_dashboard(storage, name, port, browse=not no_open)
    else:
        _serve_mlflow(required_uri(tracking_uri), name, resolved_experiment(experiment), port, browse=not no_open)


def _find(storage: str, study: str) -> str:
    from search.study.lookup import find

    return find(storage, study)[0]


def _serve_mlflow(uri: str, study: str | None, experiment: str, port: int | None, *, browse: bool) -> None:
    from search.tracking import address, serving

    path = database.sqlite_path(uri)
    if path is not None and not path.exists():
        raise RequestError(f"there is no {path}: run a study first, or name MLflow's database with --tracking-uri")
    if address.is_server(uri):
        found = address.page(uri, study or "", experiment)
        if found is None:
            raise EnvironmentFault(
                f"MLflow at {database.shown(uri)} does not answer, or has no experiment {experiment!r}"
            )
        _show(found, browse=browse)
        return
    local = f"http://{serving.HOST}:{serving.free_port(port or _MLFLOW)}"
    words = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", uri, "--workers", "1"]
    words += ["--host", serving.HOST, "--port", local.rpartition(":")[2]]
    # A study that has just begun gets its view while the server starts.
    _serve(words, f"{local}/health", lambda: address.page(uri, study or "", experiment, local) or local, browse=browse)


def _serve_dashboard(storage: str, study: str | None, port: int | None, *, browse: bool) -> None:
    from search.tracking import serving

    program = shutil.which("optuna-dashboard", path=str(Path(sys.executable).parent))
    if program is None:
        raise EnvironmentFault("optuna-dashboard is not installed here: pip install optuna-dashboard")
    local = f"http://{serving.HOST}:{serving.free_port(port or _DASHBOARD)}"
    page = f"{local}/dashboard"
    if study is not None:
        with database.faults(storage):
            page += f"/studies/{database.connect(storage).get_study_id_from_name(study)}"
    words = [program, storage, "--host", serving.HOST, "--port", local.rpartition(":")[2]]
    _serve(words, f"{local}/api/meta", lambda: page, browse=browse)


def _serve(words: list[str], health: str, page: Callable[[], str], *, browse: bool) -> None:
    from search.tracking import serving

    print("starting the page ...", file=sys.stderr, flush=True)
    with contextlib.suppress(KeyboardInterrupt), serving.serving(words, health) as server:
        _show(page(), browse=browse)
        print("press Ctrl-C to end", file=sys.stderr, flush=True)
        server.wait()
        raise EnvironmentFault(f"the server has ended, with status {server.returncode}")


def _show(page: str, *, browse: bool) -> None:
    print(page, flush=True)
    if browse:
        webbrowser.open(page)


def main(words: list[str] | None = None) -> int:
    """Run the command line and return the exit status."""
    return serve(app, words)


if __name__ == "__main__":
    leave(main())
