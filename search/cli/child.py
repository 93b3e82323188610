"""The environment of a command's child processes: its workers and the MLflow writer."""

from __future__ import annotations

import os
import sys

from search.cli import invocation
from search.storage.installed import FOLDER


def environment() -> dict[str, str]:
    """Return the environment variables with which a child process imports this copy of the package.

    ``python -m`` would look in the working folder first, where the user may have a ``search.py``. The child looks there
    last, and only if this process looks there at all.
    """
    here = [os.getcwd()] if any(folder in ("", os.getcwd()) for folder in sys.path) else []
    path = os.pathsep.join(filter(None, [str(FOLDER), os.environ.get("PYTHONPATH"), *here]))
    own = {"PYTHONPATH": path, "PYTHONSAFEPATH": "1", invocation.STARTED: invocation.started()}
    return os.environ | own
