"""A statement of a report: a few sentences about one thing."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Statement:
    """A few sentences about one thing.

    Attributes:
        about: the thing, in a few words.
        text: the sentences.
        warning: whether the reader should do something about it.
    """

    about: str
    text: str
    warning: bool = False
