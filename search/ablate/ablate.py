"""Find out which techniques mattered, by switching each one around a trial.

    chosen trial --> switch each technique --> train all on the same fresh replicates --> paired differences
    --> the strongest techniques in all combinations --> interactions

The validation rows are those of the search, at each network's best epoch as in the search. Fresh replicates remove the
luck that the chosen trial had with its seeds. They do not remove the luck that it had with the split.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from search.ablate import switches
from search.ablate.effects import SELF, effects, factorial, interactions, strongest
from search.ablate.measure import Plan, Trained, Variant
from search.ablate.result import Ablation
from search.ablate.sentences import Words, headline
from search.ablate.switches import Switch, Switches
from search.compare.pairs import Arm
from search.compare.scoring import Resampled, RootMeanSquare
from search.errors import RequestError
from search.recipe.cautions import cautions
from search.record.ablation import Ablated, Effect, Measured, keep
from search.show.text import enumerated
from search.storage import database
from search.study.progress import Log
from search.study.retrain import complete_trial
from search.study.study import BaseStudy
from search.technique import Value
from search.train.crew import one_thread

PAIRS = 3
MOST_PAIRS = 6
_FEW = 5
_MOST_OF_VARIANCE = 0.5


@one_thread()
def ablate(
    study: BaseStudy,
    trial: int | None = None,
    *,
    replicates: int | None = None,
    pairs: int = PAIRS,
    values: Mapping[str, Value] | None = None,
    log: Log | None = None,
) -> Ablation:
    """Measure what each technique of a study does to a trial, and keep the result in the study.

    Args:
        study: the study.
        trial: the number of a complete trial; by default that of the chosen one.
        replicates: the number of fresh replicates of the trial and of each variant; by default 10. In a
            cross-validation each is trained on every fold, and by default there are as many as make ten networks.
        pairs: how many of the strongest techniques are switched in all combinations; 0 for no interactions.
        values: hyperparameters at which techniques that the trial does not use are switched on; by default they are
            those of the best complete trial that uses the technique.
        log: gets lines on what is trained; by default they are shown on stderr.

    Raises:
        RequestError: there is no such trial, no technique can be switched, or the trial diverges on a fresh replicate.
    """
    if pairs != 0 and not 2 <= pairs <= MOST_PAIRS:
        raise RequestError(f"pairs takes 0 for none, or a number from 2 to {MOST_PAIRS} of techniques, got {pairs}")
    chosen = complete_trial(study, trial)
    plan = Plan.of(study, chosen.number, replicates)
    found = switches.find(study, chosen, values or {})
    by_name = {one.technique: one for one in found.each}

    def train(variants: Sequence[Variant]) -> Trained:
        # In the study's order, so that the same switches are made in the same order every time.
        changed = {one: [by_name[name] for name in by_name if name in one] for one in variants}
        return plan.train(
            {one: switches.switched(study.space, found.values, each) for one, each in changed.items()}, log
        )

    trained = train([SELF, *(frozenset({name}) for name in by_name)])
    own = trained[SELF]
    if not isinstance(own, Arm):
        raise RequestError(
            f"trial {chosen.number} diverges on {own} of {plan.networks} fresh networks: it has no objective to compare"
            " with; --trial N takes another trial"
        )
    own_value = plan.scoring.interval(own).value
    measured = effects(plan.scoring, trained, {name: frozenset({name}) for name in by_name})
    words = Words(study.objectives.first, plan.unit, plan.networks, len(measured), own_value)
    each = [_effect(plan, words, one, trained[frozenset({one.technique})], measured) for one in found.each]
    each.sort(key=lambda one: _benefit(plan, one), reverse=True)
    names = strongest(measured, pairs) if pairs else []
    together = []
    if len(names) > 1:
        trained |= train([one for one in factorial(names) if one not in trained])
        pairs_found = interactions(plan.scoring, trained, names, {name: by_name[name].used for name in names})
        both = effects(plan.scoring, trained, {pair: frozenset(pair) for pair in pairs_found})
        for pair, one in pairs_found.items():
            objective = plan.objective(trained[frozenset(pair)])
            together.append(words.interaction([by_name[name] for name in pair], objective, both.get(pair), one))
    first = study.objectives.first
    result = Ablated(
        study=study.name,
        trial=chosen.number,
        metric=first.name,
        label=f"{plan.label}{', %' if plan.unit else ''}",
        direction=first.direction,
        objective=own_value,
        networks=plan.networks,
        counts=plan.counts,
        headline=headline(each, together),
        effects=each,
        interactions=together,
        notes=[*found.notes, *_notes(plan, found, each, names)],
    )
    with database.faults(study.storage):
        keep(study.optuna_study, result)
    return Ablation(result)


def _effect(plan: Plan, words: Words, switch: Switch, variant: Arm | int, measured: Mapping[str, Measured]) -> Effect:
    diverged = 0 if isinstance(variant, Arm) else variant
    return words.effect(switch, plan.objective(variant), measured.get(switch.technique), diverged)


def _benefit(plan: Plan, effect: Effect) -> float:
    """Return by how much the objective is worse without a technique than with it; infinite if that diverges."""
    worse = float("inf") if effect.difference is None else plan.study.objectives.first.loss(effect.difference.value)
    return worse if effect.used else -worse


def _notes(plan: Plan, found: Switches, effects: Sequence[Effect], names: Sequence[str]) -> Iterator[str]:
    """Yield what a reader should know, a line each."""
    study, first = plan.study, plan.study.objectives.first
    yield from (one.note() for one in found.each if not one.used)
    yield (
        f"the validation rows also chose trial {plan.trial} and its values: fresh replicates remove the luck of its"
        " seeds, but not that of the split, so what it uses may look better here than on new rows"
    )
    if study.objectives.several:
        yield f"the study has several objectives; this is about the first one, {first.name}"
    tested = [one for one in effects if one.difference is not None]
    if len(tested) > 1:
        yield f"verdicts allow for {len(tested)} techniques (Holm); each 95% interval is of one difference alone"
    if len(names) > 2:
        yield (
            f"the interaction of two of {enumerated(names)} is a mean over"
            f" {'the third' if len(names) == 3 else 'the others'}, on and off"
        )
    if 1 < len(names) < len(tested):
        yield (
            f"interactions are of the {len(names)} strongest of {len(tested)} techniques, as measured here, which may"
            " exaggerate them; --pairs K takes more or fewer"
        )
    yield from _intervals(plan, tested)
    yield from cautions(study.recipe)


def _intervals(plan: Plan, tested: Sequence[Effect]) -> Iterator[str]:
    """Yield what the intervals allow for, and where they need care."""
    study = plan.study
    if study.data.folds:
        yield "the intervals allow for the training rows that the folds share (Nadeau and Bengio 2003)"
        return
    yield "the intervals treat both replicates and validation rows as samples; the training rows are given"
    if isinstance(plan.scoring, RootMeanSquare):
        yield "RMSE is in the units of the data; its intervals use the delta method"
    if isinstance(plan.scoring, Resampled):
        yield "the intervals are by a bootstrap over replicates and validation rows, by percentiles"
    if plan.replicates < _FEW:
        yield f"{plan.replicates} replicates say little about how replicates vary: --replicates N trains more"
    group = study.recipe.data.group
    if group is not None:
        yield (
            f"validation rows of one group in {group} are alike, but the intervals treat them as independent: they are"
            " too narrow for new groups"
        )
    rows = [one.technique for one in tested if one.difference and one.difference.of_rows > _MOST_OF_VARIANCE]
    if rows:
        yield (
            f"for {enumerated(rows)} most of the variance comes from which rows validate: more validation rows would"
            " narrow the interval, more replicates would hardly do so"
        )
