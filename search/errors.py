"""The two kinds of failure of a command, and helpers that word their messages.

`RequestError` (exit status 2): the request is wrong. `EnvironmentFault` (exit status 1): the request is fine, but the
machine fails: a file, a disk, a database or a server. Each carries one line for the person who reads it, with what is
wrong, the offending value, and what is allowed.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence


class RequestError(ValueError):
    """The request cannot be met as it stands. The command line exits with status 2."""


class TechniqueError(RequestError):
    """The code of a technique failed; `__cause__` is its own error.

    Attributes:
        status: the exit status of a command: 2 for the user's own code, 1 for a technique of the package.
    """

    def __init__(self, message: str, *, packaged: bool = False) -> None:
        super().__init__(message)
        self.status = 1 if packaged else 2


class EnvironmentFault(RuntimeError):
    """The request is sound, but the machine fails. The command line exits with status 1."""


def clip(text: str, longest: int = 80) -> str:
    """Shorten a value for an error message, so that it can still be recognised."""
    return text if len(text) <= longest else f"{text[: longest - 20]}... ({len(text):,} characters)"


def listed(names: Sequence[str], most: int = 12) -> str:
    """Return the first `most` names, joined by commas, and the number of those left out."""
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(clip(plain(name), 40) for name in names[:most]) + more


def counted(number: int, noun: str) -> str:
    """Return a number with its noun: ``1 trial``, ``2 trials``, ``1,000 trials``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def plain(name: str) -> str:
    """Return a name unchanged, or quoted if it holds characters that a terminal would interpret."""
    return name if name.isprintable() else repr(name)


def unknown(kind: str, name: str, allowed: Iterable[str]) -> RequestError:
    """Return the error for a name that is not in `allowed`, with the nearest name that is.

    >>> str(unknown("sampler", "tpr", ["tpe", "grid"]))
    "unknown sampler 'tpr': did you mean 'tpe'? (known: grid, tpe)"
    """
    known = sorted(allowed)
    return RequestError(f"unknown {kind} {clip(name)!r}{nearest(name, known)} (known: {', '.join(known)})")


def unknown_among(kind: str, name: str, groups: Mapping[str, Iterable[str]]) -> RequestError:
    """Return the error for an unknown name where several groups of names are allowed.

    >>> str(unknown_among("study", "dropot", {"studies": ["l2-digits"], "recipes": ["dropout", "l2"]}))
    "unknown study 'dropot': did you mean 'dropout'? (studies: l2-digits; recipes: dropout, l2)"
    """
    known = {label: sorted(names) for label, names in groups.items()}
    lists = "; ".join(f"{label}: {listed(names, 40) or 'none yet'}" for label, names in known.items())
    near = nearest(name, sorted({allowed for names in known.values() for allowed in names}))
    return RequestError(f"unknown {kind} {clip(name)!r}{near} ({lists})")


def nearest(name: str, allowed: Iterable[str]) -> str:
    """Return ``": did you mean 'tpe'?"``, or an empty string if no allowed name is close."""
    # DIGITS is close to digits. The name is cut because difflib takes seconds for one of a million characters.
    by_lower = {other.lower(): other for other in allowed}
    close = difflib.get_close_matches(name[:200].strip().lower(), by_lower, n=1, cutoff=0.5)
    return f": did you mean {by_lower[close[0]]!r}?" if close else ""
