"""What a search has taken from earlier studies, as its recipe holds it, in words and as JSON."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Any

from search.choose.prior import STARTUP
from search.errors import counted
from search.recipe import Recipe
from search.show.text import assignments, enumerated


def identity(recipe: Recipe) -> str:
    """Return the earlier studies of a recipe, with a digest of what was taken from them."""
    fields = recipe.model_dump(mode="json", include={"settings", "earlier"})
    taken = [fields["earlier"], [setting for setting in fields["settings"] if setting["study"]]]
    digest = hashlib.sha256(json.dumps(taken, sort_keys=True).encode()).hexdigest()
    return f"{', '.join(one.study for one in recipe.earlier)} ({digest[:8]})"


def outcome(recipe: Recipe) -> list[dict[str, Any]]:
    """Return for each earlier study what was taken from it, as JSON can hold it.

    ``settings`` are the first trials, and ``prior`` is the number of trials by which TPE drew the next ones.
    """
    return [
        {
            "study": earlier.study,
            "settings": [
                {"trial": one.trial, "set": dict(one.set)} for one in recipe.settings if one.study == earlier.study
            ],
            "prior": len(earlier.trials),
        }
        for earlier in recipe.earlier
    ]


def notes(recipe: Recipe) -> Iterator[str]:
    """Yield what was taken from each earlier study, a sentence each, and what becomes of it."""
    for earlier in recipe.earlier:
        taken = [one for one in recipe.settings if one.study == earlier.study]
        which = "; ".join(f"trial {one.trial}: {assignments(one.set)}" for one in taken)
        yield f"begins with {counted(len(taken), 'setting')} of study {earlier.study}{f' ({which})' if which else ''}"
    drawn = [f"{counted(len(one.trials), 'trial')} of {one.study}" for one in recipe.earlier if one.trials]
    without = "to begin without earlier studies, leave out --from"
    if drawn:
        yield (
            f"until {STARTUP} trials have finished, TPE draws three of four trials by the ranks of {enumerated(drawn)},"
            f" and one at random; {without}"
        )
    elif recipe.earlier:
        yield f"sampler {recipe.sampler} takes only settings from earlier studies; {without}"
