"""Open the study of a command line, or say by which name the same command would make a new one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from search.cli import invocation
from search.errors import RequestError
from search.storage.database import shown
from search.study import lookup
from search.study.identity import Mismatch, free_name

if TYPE_CHECKING:
    from search.study.study import BaseStudy


def open_study(study: BaseStudy, words: Sequence[str]) -> None:
    """Open the study.

    Raises:
        RequestError: the name belongs to another study; the message ends with the command that makes a new one.
    """
    try:
        _ = study.optuna_study
    except Mismatch as mismatch:
        name = free_name(mismatch.study, lookup.names(study.storage))
        kept = [word for word in words if not word.startswith("--study-name=")]
        if "--study-name" in kept:
            place = kept.index("--study-name")
            del kept[place : place + 2]
        kept = [shown(word) if "://" in word else word for word in kept]
        again = invocation.command("run", f"--study-name={name}", *kept)
        raise RequestError(f"{mismatch}; to make a new study: {again}") from None
