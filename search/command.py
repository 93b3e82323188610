"""What all commands share: how words become values, and how a failure becomes one line and an exit status.

0 done, 1 the machine failed, 2 the request was wrong, 130 interrupted with everything kept.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from types import FrameType
from typing import Any

import typer
from typer.exceptions import TyperException

from search.errors import EnvironmentFault, RequestError


def parse_value(text: str) -> bool | int | float | str:
    """A value as a person writes it: true, false, a whole number, a number, or else a word."""
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def parse_range(name: str, text: str) -> dict[str, Any]:
    """``LOW:HIGH``, ``LOW:HIGH:log`` or ``A,B,C``, as a recipe's table of the hyperparameter."""
    if ":" not in text:
        return {"choices": [parse_value(choice.strip()) for choice in text.split(",")]}
    low, high, *rest = text.split(":")
    bounds = [parse_value(low), parse_value(high)]
    if rest not in ([], ["log"]) or any(isinstance(bound, str | bool) for bound in bounds):
        raise RequestError(f"--space {name}={text}: takes LOW:HIGH, LOW:HIGH:log or A,B,C")
    return {"low": bounds[0], "high": bounds[1], "log": bool(rest)}


def pairs(option: str, words: Sequence[str]) -> dict[str, str]:
    """``NAME=VALUE`` words by name; raises RequestError for one without '=' or a name given twice."""
    found: dict[str, str] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or not name or not value:
            raise RequestError(f"{option} {word}: takes NAME=VALUE")
        if name in found:
            raise RequestError(f"{option}: {name} is given twice")
        found[name] = value
    return found


def serve(app: typer.Typer, words: Sequence[str] | None = None) -> int:
    """Run a command to its exit status; a failure is one line on stderr."""
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        app(None if words is None else list(words), standalone_mode=False)
    except TyperException as error:
        return _fail(_sentence(error), 2)
    except RequestError as error:
        return _fail(str(error), 2)
    except EnvironmentFault as error:
        return _fail(str(error), 1)
    except (KeyboardInterrupt, typer.Abort):
        print("interrupted: everything told is kept; run the same command again to go on", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # The reader of stdout has gone (`| head`): not a failure of ours.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return 0


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _fail(message: str, status: int) -> int:
    print(f"error: {' '.join(message.split())}", file=sys.stderr)
    return status


def _sentence(error: TyperException) -> str:
    message = getattr(error, "format_message", lambda: str(error))()
    return str(message)
