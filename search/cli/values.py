"""Convert the words of a command line to values: numbers, ranges, and names with their values."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from typing import Any

from search.errors import RequestError, clip
from search.show.text import OFF


def parse_value(text: str) -> bool | int | float | str:
    """Return the value of a word: true, false, a whole number, a number, or else the word itself."""
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    with contextlib.suppress(ValueError):
        whole = int(text)
        # A whole number beyond 64 bits is read as a float, as 1e400 is; it may become infinite.
        return whole if abs(whole) < 2**63 else float(text)
    with contextlib.suppress(ValueError):
        return float(text)
    return text


def parse_values(text: str) -> Any:
    """Return the value of a word, or the list of values of words joined by commas."""
    return [parse_value(part) for part in text.split(",")] if "," in text else parse_value(text)


def parse_range(name: str, text: str) -> dict[str, Any]:
    """Return ``LOW:HIGH``, ``LOW:HIGH:log`` or ``A,B,C`` as a recipe's table of the hyperparameter.

    A word ``off`` beside any of them is kept: ``off,LOW:HIGH``.

    Raises:
        RequestError: the text is none of the three.
    """
    words = [word.strip() for word in text.split(",")]
    if ":" not in text:
        return {"choices": [parse_value(choice) for choice in words]}
    beside = [word for word in words if word != OFF]
    low, high, *rest = ",".join(beside).split(":")
    bounds = [parse_value(low), parse_value(high)]
    if rest not in ([], ["log"]) or any(isinstance(bound, str | bool) for bound in bounds) or len(words) > 2:
        raise RequestError(
            f"--space {name}={clip(text)}: takes LOW:HIGH, LOW:HIGH:log or A,B,C, each also with off, as in off,0:1"
        )
    off = {"off": True} if len(beside) < len(words) else {}
    return {"low": bounds[0], "high": bounds[1], "log": bool(rest)} | off


def parse_setting(text: str) -> dict[str, Any]:
    """Return ``NAME=VALUE,NAME=VALUE`` as values by name; a comma without a name after it belongs to a value.

    >>> parse_setting("l2=1e-3,hidden=64,32")
    {'l2': 0.001, 'hidden': '64,32'}
    """
    words: list[str] = []
    for part in text.split(","):
        if "=" in part or not words:
            words.append(part.strip())
        else:
            words[-1] += f",{part}"
    return {name: parse_value(value) for name, value in pairs("--enqueue", words, "NAME=VALUE,NAME=VALUE").items()}


def pairs(option: str, words: Sequence[str], takes: str = "NAME=VALUE") -> dict[str, str]:
    """Return ``NAME=VALUE`` words by name.

    Raises:
        RequestError: a word has no '=', or a name is given twice.
    """
    values: dict[str, str] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or not name or not value:
            raise RequestError(f"{option} takes {takes}, got {clip(word)!r}")
        if name in values:
            raise RequestError(f"{option}: {clip(name)} is given twice")
        values[name] = value
    return values


def parse_slots(text: str) -> int | str:
    """Return a whole number, or the word as it is, such as ``auto``."""
    value = parse_value(text)
    return value if isinstance(value, int) else text


def given(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options that were given a value."""
    return {name: value for name, value in options.items() if value is not None}
