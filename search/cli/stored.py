"""The options of every command that asks about a study in a storage, written once."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias, TypeVar, get_args

from search.cli import invocation, names, options
from search.errors import RequestError, listed, unknown, unknown_among
from search.storage import database

Result = TypeVar("Result")
Stored: TypeAlias = Mapping[str, Any]
"""Which study a command is about, and where it is opened: the arguments of `search.load_study`."""

_STORED = "stored"
# The parameters of `search.load_study`, as options: annotation and default.
_SHARED: Mapping[str, tuple[Any, Any]] = {
    "dataset": (options.Dataset, None),
    "data_dir": (options.DataDir, Path("data")),
    "offline": (options.Offline, False),
    "techniques": (options.Techniques, None),
    "metrics": (options.MetricFiles, None),
    "device": (options.Device, "auto"),
    "study_name": (options.StudyName, None),
    "storage": (options.Storage, database.DEFAULT_STORAGE),
}


def on_stored_study(command: Callable[..., Result]) -> Callable[..., Result]:
    """Give a command the argument STUDY and the options that say which study it is and where it is opened.

    The command has a parameter ``stored: Stored`` in their place. It opens the study by ``load_study(**stored)`` after
    it has validated its own options, because that imports torch.
    """
    return _with_study(command, options.StudyWord, lambda _: False)


def on_stored_study_or_model(command: Callable[..., Result]) -> Callable[..., Result]:
    """Do the same for a command that takes a model file as well; then ``stored["study"]`` is the file's path."""
    return _with_study(command, options.StudyOrModelWord, is_model_file)


def is_model_file(word: str) -> bool:
    """Return whether a word is the path of a model file, not a study."""
    return word.endswith(".safetensors")


def _with_study(command: Callable[..., Result], word: Any, is_file: Callable[[str], bool]) -> Callable[..., Result]:
    own = inspect.signature(command, eval_str=True)
    study = inspect.Parameter("study", inspect.Parameter.KEYWORD_ONLY, annotation=word)
    shared = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=annotation, default=default)
        for name, (annotation, default) in _SHARED.items()
    ]
    others = [
        parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)
        for name, parameter in own.parameters.items()
        if name != _STORED
    ]
    first = [parameter for parameter in others if _panel(parameter) is None]
    last = [parameter for parameter in others if parameter not in first]

    @functools.wraps(command)
    def run(**given: Any) -> Result:
        stored = {name: given.pop(name) for name in ("study", *_SHARED)}
        if not is_file(stored["study"]):
            _validate_study(stored["study"], stored["study_name"], stored["storage"])
        return command(stored | {name: stored[name] or () for name in ("techniques", "metrics")}, **given)

    parameters = [study, *first, *shared, *last]
    run.__signature__ = own.replace(parameters=parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return run


def _panel(parameter: inspect.Parameter) -> str | None:
    """Return the panel of the help that lists an option."""
    _, declared = get_args(parameter.annotation)
    panel: str | None = declared.rich_help_panel
    return panel


def validate_words(words: Sequence[str], storage: str, kind: str = "study or recipe") -> None:
    """Refuse words that are neither studies nor recipes, as far as this is known before Optuna is imported.

    Args:
        words: the words that should name studies.
        storage: the URL of their database, which need not exist.
        kind: what the words should name, for the error.

    Raises:
        RequestError: a word is unknown; the message lists the known names.
    """
    known, recipes = names.studies(storage), names.recipes()
    path = database.sqlite_path(storage)
    if known is None and (path is None or path.exists()):
        return  # the studies of a server, or of a file that cannot be read, are looked up later
    groups = {"studies": known or (), "recipes": recipes}
    for word in words:
        is_recipe = word in recipes or any(sign in word for sign in "+/") or word.endswith(".toml")
        if not is_recipe and word not in groups["studies"]:
            raise unknown_among(kind, word, groups)


def _validate_study(study: str, study_name: str | None, storage: str) -> None:
    """Refuse a study that does not exist, as far as this is known before Optuna is imported.

    Raises:
        RequestError: the storage or the study does not exist; the message lists the known names.
    """
    database.validate_present(storage)
    known = names.studies(storage)
    if study_name is None and study not in (known or ()) and not study.endswith(".toml") and Path(study).is_file():
        raise RequestError(f"{study!r} is a file where the name of a study is expected: the study comes first")
    if known is None or (study_name or study) in known:
        return
    if study_name is not None:
        raise unknown(f"study in {database.shown(storage)}", study_name, known)
    validate_words([study], storage, "study")
    if study in names.recipes() and not any(name.startswith(f"{study}-") for name in known):
        raise RequestError(
            f"there is no study of recipe {study!r} in {database.shown(storage)} (studies: {listed(known) or 'none'}):"
            f" run it first: {invocation.command('run', study)}"
        )
