"""What a notebook shows of a study: its question, its data, its space and its best trials."""

from __future__ import annotations

from optuna.trial import FrozenTrial

from search.choose import extending
from search.errors import EnvironmentFault, RequestError
from search.recipe import Recipe
from search.recipe.distributions import as_text
from search.recipe.space import Space
from search.show import html, text
from search.storage import database
from search.study import lookup, results
from search.study.study import BaseStudy


def study_html(study: BaseStudy) -> str:
    """What is searched, on what, and the best trials there are, as HTML; nothing is written for it.

    A study that is not open is looked into in its storage.
    """
    recipe = study.recipe
    facts = {
        "question": recipe.title,
        "techniques": " + ".join(recipe.techniques) or "none",
        "data": study.data.described(),
        "searched": _searched(study.space),
        "set": ", ".join(f"{name} {text.number(value)}" for name, value in recipe.set.items()),
        "search": ", ".join(_search(recipe)),
    }
    trials: list[FrozenTrial] = []
    try:
        found = lookup.glance(study)
        with database.faults(study.storage):
            trials = [] if found is None else found.get_trials(deepcopy=False)
            extensions = [] if found is None else extending.stored(found.user_attrs)
        widened = extending.widened(study.resolved, extensions)
        facts["searched"] = _searched(widened)
        budget = max(study.budget(), extending.total(widened), len(results.finished(trials)))
        states = results.tally(results.by_state(trials))
        facts["trials"] = (
            f"{len(results.finished(trials))} of {budget}: {states}" if trials else f"none yet, of {budget}"
        )
    except (RequestError, EnvironmentFault) as fault:
        facts["trials"] = str(fault)
    best = results.best(study, trials)
    return html.block(html.facts(study.name, facts), html.table(best) if best.rows else "")


def _searched(space: Space) -> str:
    return ", ".join(f"{name} {as_text(one)}" for name, one in space.searched.items())


def _search(recipe: Recipe) -> list[str]:
    pruning = "no pruning" if recipe.pruner.name == "none" else f"{recipe.pruner.name} pruning"
    return [recipe.sampler, pruning, *([f"{recipe.replicates} replicates"] if recipe.replicates > 1 else [])]
