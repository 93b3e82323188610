"""Word the error for a command line that Typer rejects: the offending word, and the one that was probably meant."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from typer.exceptions import TyperException

from search.cli import invocation, names
from search.errors import RequestError, clip, nearest, unknown

# The names that other tools, such as Optuna and scikit-learn, give to these options.
_OPTIONS = {
    "--n-trials": "--trials",
    "--n-jobs": "--workers",
    "--random-state": "--seed",
    "--max-epochs": "--epochs",
    "--objectives": "--objective",
    "--out": "--output",
    "--name": "--study-name",
}
_COMMANDS = {"optimize": "run", "search": "run", "train": "run", "studies": "list", "ls": "list"}
_TAKES = {"int_parsing": "a whole number", "int_from_float": "a whole number", "float_parsing": "a number"}


def sentence(error: TyperException, words: Sequence[str]) -> str:
    """Return what is wrong with a command line, in one sentence that names the word.

    Args:
        error: Typer's error.
        words: the command line.
    """
    if hasattr(error, "possibilities"):
        return _unknown_option(error, words)
    from pydantic import ValidationError

    message = str(error.format_message())
    if isinstance(error.__cause__, ValidationError):
        problem = error.__cause__.errors()[0]
        got = f"got {clip(repr(problem['input']))}"
        takes, parameter = _TAKES.get(problem["type"]), getattr(error, "param", None)
        return f"{parameter.opts[0]} takes {takes}, {got}" if takes and parameter else f"{message}, {got}"
    return message


def unknown_command(word: str, commands: Sequence[str]) -> RequestError:
    """Return the error for a word that is not a command; the error says so if the word is a recipe or a study."""
    renamed = _COMMANDS.get(word)
    if renamed in commands:
        return RequestError(f"unknown command {word!r}: its name here is {renamed!r}")
    if word in names.recipes() or word in (names.studies() or ()):
        return RequestError(
            f"{clip(word)!r} is a study, not a command: run it with `{invocation.command('run', word)}`"
        )
    return unknown("command", word, commands)


def _unknown_option(error: Any, words: Sequence[str]) -> str:
    """Return the message for an unknown option, with what to write instead."""
    option: str = error.option_name
    known = [
        name
        for parameter in error.ctx.command.params
        for name in (*parameter.opts, *parameter.secondary_opts)
        if name.startswith("--")
    ]
    # Of `-lr 0.01`, Typer reports the letter l only.
    written = next((word for word in words if word.startswith(option)), option)
    typed, _, value = written.partition("=")
    unknown_option = f"unknown option {clip(typed)!r}"
    plain = f"--{typed.lstrip('-').replace('_', '-').lower()}"
    if (meant := _OPTIONS.get(plain, plain)) in known:
        return f"{unknown_option}: its name here is {meant!r}"
    name = typed.lstrip("-").replace("-", "_")
    if "--set" in known and name in names.hyperparameters():
        value = value or _following(words, written)
        return (
            f"{unknown_option}: {name} is a hyperparameter: fix it with --set {name}={value or 'VALUE'},"
            f" or search it with --space {name}=LOW:HIGH"
        )
    hint = " (a hyperparameter is fixed with --set NAME=VALUE)" if "--set" in known else ""
    listed = f" (known: {', '.join(known)})"
    return f"{unknown_option}{nearest(typed, known) or listed}{hint}"


def _following(words: Sequence[str], word: str) -> str:
    """Return the value after an option, or an empty string if another option or nothing follows."""
    place = list(words).index(word) + 1 if word in words else len(words)
    value = words[place] if place < len(words) else ""
    return "" if value.startswith("--") else value
