"""Which techniques there are: those in `objectives/`, found by name, and those that a user names."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import pkgutil
import sys
from collections.abc import Sequence
from importlib.metadata import entry_points
from pathlib import Path

from search.errors import RequestError, unknown
from search.technique import Technique


def discover() -> dict[str, Technique]:
    """Every technique in `objectives/`, by name: each public module there defines `technique`."""
    import objectives

    found = {}
    for module in pkgutil.iter_modules(objectives.__path__):
        technique = importlib.import_module(f"objectives.{module.name}").technique
        found[technique.name] = technique
    return found


def load_technique(path: Path) -> Technique:
    """The technique that a user's own file defines; the file is executed, so it is loaded only where it is named.

    Raises:
        RequestError: there is no such file, it fails when it is run, or it defines no `technique`.
    """
    spec = importlib.util.spec_from_file_location(f"regsearch_technique_{path.stem}", path)
    if spec is None or spec.loader is None or not path.is_file():
        raise RequestError(f"--technique: {path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    try:
        # What the file prints is no part of a command's results.
        with contextlib.redirect_stdout(sys.stderr):
            spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        raise RequestError(f"--technique: {path} failed when it was run: {type(error).__name__}: {error}") from error
    technique = getattr(module, "technique", None)
    if not isinstance(technique, Technique):
        raise RequestError(f"--technique: {path} defines no `technique = Technique(...)`")
    return technique


def select(names: Sequence[str], outside: Sequence[Technique | Path | str]) -> list[Technique]:
    """The techniques of a study: those named, in that order, then those from outside that no name asks for.

    A name is looked up in `objectives/`, among those given, and in the entry points of installed packages (group
    ``regsearch.techniques``), of which only one that is named is loaded (contract C9).

    Raises:
        RequestError: a name that is neither in `objectives/` nor from outside, or a file that cannot be loaded.
    """
    given = [t if isinstance(t, Technique) else load_technique(Path(t)) for t in outside]
    packaged = discover()
    for technique in given:
        if technique.name in packaged:
            raise RequestError(f"technique {technique.name!r} is in the package already: give yours another name")
    known = packaged | {technique.name: technique for technique in given}
    for entry in entry_points(group="regsearch.techniques"):
        if entry.name in names and entry.name not in known:
            known[entry.name] = entry.load()
    for name in names:
        if name not in known:
            raise unknown("technique", name, known)
    return [known[name] for name in names] + [technique for technique in given if technique.name not in names]
