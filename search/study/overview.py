"""The overview of a study in a notebook: its question, its data, its space and its best trials."""

from __future__ import annotations

import optuna
from optuna.trial import FrozenTrial

from search.errors import EnvironmentFault, RequestError
from search.recipe import Recipe
from search.recipe.space import Space
from search.record.decision import kept
from search.record.own import finished, own_trials
from search.show import html, text
from search.storage import database
from search.study import results
from search.study.identity import describe, validate_identity
from search.study.study import BaseStudy


def study_html(study: BaseStudy) -> str:
    """Return what is searched, on which data, the best trials so far, and what the study has decided, as HTML.

    Nothing is written. The trials of a study that is not open are read from its storage.
    """
    recipe = study.recipe
    facts = {
        "question": recipe.title,
        "techniques": " + ".join(recipe.techniques) or "none",
        "data": study.data.described(),
        "objective": ", ".join(f"{one.name} ({one.direction})" for one in study.objectives.each),
        "searched": _searched(study.space),
        "set": ", ".join(f"{name} {text.number(value)}" for name, value in recipe.set.items()),
        "search": ", ".join(_search(recipe)),
    }
    trials: list[FrozenTrial] = []
    decision = None
    try:
        optuna_study = _peek(study)
        with database.faults(study.storage):
            trials = [] if optuna_study is None else own_trials(optuna_study)
            decision = None if optuna_study is None else kept(optuna_study.user_attrs, trials)
            extended = study.extended if optuna_study is None else study.extended_in(optuna_study)
        facts["searched"] = _searched(extended.space)
        budget = max(study.budget(), extended.budget, len(finished(trials)))
        states = results.tally(results.by_state(trials))
        facts["trials"] = f"{len(finished(trials))} of {budget}: {states}" if trials else f"none yet, of {budget}"
    except (RequestError, EnvironmentFault) as fault:
        facts["trials"] = str(fault)
    best = results.best(study, trials)
    found = html.bullets(() if decision is None else decision.sentences)
    return html.block(html.facts(study.name, facts), html.table(best) if best.rows else "", found)


def _peek(study: BaseStudy) -> optuna.Study | None:
    """Return the Optuna study of a study for reading, without opening it; None if there is none.

    Nothing is written or created.

    Raises:
        RequestError: the storage has another study of this name.
        EnvironmentFault: the storage can't be read, or is a database server, which is read only by opening the study.
    """
    if study.is_open:
        return study.optuna_study
    path = database.sqlite_path(study.storage)
    if path is None:
        raise EnvironmentFault(f"not read yet from {database.shown(study.storage)}")
    if not database.has_studies(path):
        return None
    with database.faults(study.storage):
        backend = database.connect(study.storage)
        if study.name not in optuna.get_all_study_names(backend):
            return None
        optuna_study = optuna.load_study(study_name=study.name, storage=backend)
        asked = describe(study.recipe, study.space, study.data, study.loss)
        validate_identity(optuna_study, asked, study.objectives.directions)
    return optuna_study


def _searched(space: Space) -> str:
    return ", ".join(f"{name} {space.text(name)}" for name in space.dimensions)


def _search(recipe: Recipe) -> list[str]:
    pruning = "no pruning" if recipe.pruner.name == "none" else f"{recipe.pruner.name} pruning"
    return [recipe.sampler, pruning, *([words] if (words := recipe.described_networks) else [])]
