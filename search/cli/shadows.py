"""The user's files of the names of our packages, which Python finds first in the folder where `python -m` runs."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from search.errors import RequestError

_ROOT = Path(__file__).parents[2]
_BESIDE = ("objectives", "studies")  # what hides `search` itself hides this file too


def validate_packages() -> None:
    """Refuse to run with somebody else's modules in place of the package's own.

    Raises:
        RequestError: a file of the user's hides a package; the message names the file.
    """
    for name in _BESIDE:
        spec = find_spec(name)
        if spec is not None and spec.origin is not None and Path(spec.origin).resolve().parents[1] != _ROOT.resolve():
            raise RequestError(
                f"{spec.origin} hides the package {name!r} of regsearch: rename it, or run the command `regsearch`,"
                " which does not look for packages in this folder"
            )
