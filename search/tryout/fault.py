"""The fault of a technique: one line with its file, the hook, what was observed and what would be right."""

from __future__ import annotations

from search.errors import RequestError
from search.technique.guarded import Hook


class Fault(RequestError):
    """A technique breaks a contract."""


class FailedTraining(Fault):
    """A technique makes training fail, outside of its hooks; `__cause__` is the error."""


def fault(hook: Hook, said: str) -> Fault:
    """Return the fault of a hook, said by a sentence whose subject is the hook."""
    return Fault(f"{named(hook)} {said}")


def named(hook: Hook) -> str:
    """Return what faults call a hook: the file of its technique, and its name."""
    return f"{hook.place}: hook {hook.name!r}"
