"""The techniques that a study may name: those in `objectives/`, found by their files, and those that a user gives."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import pkgutil
import sys
from collections.abc import Sequence
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType

import search.technique
from search.errors import RequestError, unknown
from search.storage import installed
from search.technique import Technique
from search.technique.guarded import guarded

# The name of the package `objectives` where another package of that name comes first on `sys.path`.
_OTHER_NAME = "regsearch_objectives"

_RENAMED = {"Setting": "StudyContext"}


def discover() -> dict[str, Technique]:
    """Return every technique in `objectives/`, by name. Each public module there defines `technique`."""
    folder = installed.FOLDER / "objectives"
    package = _package(folder)
    techniques = {}
    for module in pkgutil.iter_modules([str(folder)]):
        technique = importlib.import_module(f"{package}.{module.name}").technique
        techniques[technique.name] = technique
    return techniques


def _package(folder: Path) -> str:
    """Return the name by which the package in this folder is imported.

    This is `objectives`, so that techniques are the same objects for whoever imports `objectives.l2`. The user's own
    package of that name keeps it; this one is then imported under a name of its own.
    """
    initial = folder / "__init__.py"
    try:
        spec = importlib.util.find_spec(folder.name)
    except ValueError:  # A module of that name was made by hand.
        spec = None
    if spec is not None and spec.origin is not None and Path(spec.origin).resolve() == initial:
        return folder.name
    if _OTHER_NAME not in sys.modules:
        spec = importlib.util.spec_from_file_location(_OTHER_NAME, initial, submodule_search_locations=[str(folder)])
        assert spec is not None
        assert spec.loader is not None
        sys.modules[_OTHER_NAME] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[_OTHER_NAME])
    return _OTHER_NAME


def load_technique(path: Path) -> Technique:
    """Run a user's file and return the technique that it defines. Only files that the user names are loaded.

    Raises:
        RequestError: there is no such file, it fails, or it defines no `technique`.
    """
    technique = getattr(run_file(path, "technique"), "technique", None)
    if not isinstance(technique, Technique):
        raise RequestError(f"--technique: {path} defines no `technique = Technique(...)`")
    return technique


def run_file(path: Path, kind: str) -> ModuleType:
    """Run a user's file and return it as a module. Only files that the user names are run.

    Args:
        path: the file.
        kind: what it defines, "technique" or "metric", which is also the name of the option that names it.

    Raises:
        RequestError: there is no such file, or it fails.
    """
    spec = importlib.util.spec_from_file_location(f"regsearch_{kind}_{path.stem}", path)
    if spec is None or spec.loader is None or not path.is_file():
        raise RequestError(f"--{kind}: {path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    try:
        # Standard output is for the command's results, so what the file prints goes to standard error.
        with contextlib.redirect_stdout(sys.stderr):
            spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        raise RequestError(f"--{kind}: {path} failed when it was run: {_reason(error)}") from error
    return module


def _reason(error: BaseException) -> str:
    """Return an error as one line; for a name that `search` does not have (any more), list the names to import."""
    if not isinstance(error, ImportError) or (error.name or "").partition(".")[0] != search.__name__:
        return f"{type(error).__name__}: {error}"
    complaint = str(error).partition(" (")[0]  # what follows is the path of the module
    renamed = [f"; {old} is now called {new}" for old, new in _RENAMED.items() if repr(old) in complaint]
    top = [name for name in search.technique.__all__ if name in search.__all__]
    others = [name for name in search.technique.__all__ if name not in top]
    return (
        f"{complaint}{''.join(renamed)}; import {', '.join(top)} from search, "
        f"and {', '.join(others)} from search.technique"
    )


def select(names: Sequence[str], outside: Sequence[Technique | Path | str]) -> list[Technique]:
    """Return the techniques of a study: the named ones in their order, then those from outside that have no name there.

    Their hooks are guarded: an error inside one names its file and line (`search.technique.guarded`).

    A name is looked up in `objectives/`, among the techniques from outside, and in the entry points of installed
    packages (group ``regsearch.techniques``), of which only the named ones are loaded (contract C9, docs/design.md).

    Args:
        names: the names of techniques.
        outside: techniques from outside the package, or the paths of files that define one.

    Raises:
        RequestError: a name is unknown, or a file cannot be loaded.
    """
    given = [
        guarded(one) if isinstance(one, Technique) else guarded(load_technique(Path(one)), Path(one)) for one in outside
    ]
    known = {name: guarded(technique, packaged=True) for name, technique in discover().items()}
    for technique in given:
        if technique.name in known:
            raise RequestError(f"technique {technique.name!r} is in the package already: give yours another name")
    known |= {technique.name: technique for technique in given}
    # Reading the entry points of all installed packages takes a tenth of a second.
    if not known.keys() >= set(names):
        for entry in entry_points(group="regsearch.techniques"):
            if entry.name in names and entry.name not in known:
                known[entry.name] = guarded(entry.load())
    for name in names:
        if name not in known:
            raise unknown("technique", name, known)
    return [known[name] for name in names] + [technique for technique in given if technique.name not in names]
