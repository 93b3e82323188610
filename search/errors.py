"""The two ways a command can fail, and the words it fails with.

`RequestError`: what was asked for is wrong (exit status 2). `EnvironmentFault`: the request is fine, the machine
is not: a file, a disk, a database, a server (exit status 1). Both carry one line, written for the person who reads
it: what is wrong, the offending value, what is allowed.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence


class RequestError(ValueError):
    """What was asked for cannot be done as asked; the command line answers with exit status 2."""


class EnvironmentFault(RuntimeError):
    """The request is sound but the machine fails it; the command line answers with exit status 1."""


def clip(text: str, longest: int = 80) -> str:
    """A value as an error repeats it: enough to recognise it by."""
    return text if len(text) <= longest else f"{text[: longest - 20]}... ({len(text):,} characters)"


def listed(names: Sequence[str], most: int = 12) -> str:
    """The first few of some names, and how many more there are."""
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(clip(plain(name), 40) for name in names[:most]) + more


def counted(number: int, noun: str) -> str:
    """``1 trial``, ``2 trials``, ``1,000 trials``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def plain(name: str) -> str:
    """A name as it is, quoted where a terminal would do something with it."""
    return name if name.isprintable() else repr(name)


def unknown(kind: str, name: str, allowed: Iterable[str]) -> RequestError:
    """The error for a name that is not among `allowed`, with the nearest one that is.

    >>> str(unknown("sampler", "tpr", ["tpe", "grid"]))
    "unknown sampler 'tpr': did you mean 'tpe'? (known: grid, tpe)"
    """
    known = sorted(allowed)
    return RequestError(f"unknown {kind} {clip(name)!r}{nearest(name, known)} (known: {', '.join(known)})")


def unknown_among(kind: str, name: str, groups: Mapping[str, Iterable[str]]) -> RequestError:
    """The error for a name that may be of several kinds of thing, which says what is which.

    >>> str(unknown_among("study", "dropot", {"studies": ["l2-digits"], "recipes": ["dropout", "l2"]}))
    "unknown study 'dropot': did you mean 'dropout'? (studies: l2-digits; recipes: dropout, l2)"
    """
    known = {label: sorted(names) for label, names in groups.items()}
    told = "; ".join(f"{label}: {listed(names, 40) or 'none yet'}" for label, names in known.items())
    near = nearest(name, sorted({one for names in known.values() for one in names}))
    return RequestError(f"unknown {kind} {clip(name)!r}{near} ({told})")


def nearest(name: str, allowed: Iterable[str]) -> str:
    """``": did you mean 'tpe'?"``, or nothing where no name is near."""
    # Whoever types DIGITS means digits; and difflib takes seconds over a name of a million characters.
    by_lower = {other.lower(): other for other in allowed}
    close = difflib.get_close_matches(name[:200].strip().lower(), by_lower, n=1, cutoff=0.5)
    return f": did you mean {by_lower[close[0]]!r}?" if close else ""
