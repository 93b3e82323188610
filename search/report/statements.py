"""The sentences that a report begins with: what a careful reader would say of a study, computed from its record."""

from __future__ import annotations

import numpy as np

from search.choose.edges import Edge
from search.errors import counted
from search.record.feasible import described
from search.report import ablation, decided, front
from search.report.drawing import settings
from search.report.networks import HeldOut
from search.report.record import Entry, Floats, Record
from search.report.statement import Statement
from search.report.statistics import (
    MORE,
    REPLICATES,
    Choice,
    considered,
    edges,
    lacking,
    one_standard_error,
    saved,
)
from search.report.strength import strengths


def too_few(record: Record) -> Statement:
    """Return the statement that takes the place of all others and of the figures."""
    text = f"The study has {counted(len(record.complete), 'complete trial')}, and a report compares at least two."
    return Statement("too few trials", f"{text} Continue the search, then make the report again.", warning=True)


def summarise(record: Record, held_out: HeldOut | None = None) -> list[Statement]:
    """Return the statements about a study with at least two complete trials."""
    statements = [_best(record)]
    if record.objectives.several:
        # No trial of a front is the best, so there is neither an edge nor a choice to speak of.
        statements.append(Statement("Pareto front", front.describe(record)))
    else:
        if record.decision is not None:
            statements += decided.describe(record, record.decision)
        else:
            statements.append(_one_standard_error(record))
        statements += [_edge(record, edge) for edge in edges(record)]
    if record.ablated is not None:
        statements.append(Statement("techniques", ablation.describe(record)))
    if record.objectives.constraints:
        statements.append(_constraints(record))
    if record.never_finite or any(entry.diverged_at for entry in record.complete):
        statements.append(_divergence(record))
    if (total := saved(record)).by_pruning:
        text = f"Pruning saved {total.share:.0%} of the {total.planned:,} planned epochs."
        statements.append(Statement("pruning", text))
    if held_out is not None:
        statements.append(_validation_and_test(record, held_out))
    return statements


def _best(record: Record) -> Statement:
    best = record.best
    aim = record.aim
    text = f"Trial {_named(record, best)} has the {aim.superlative} {aim.shown}, {best.objective:.4g}."
    score = best.at_best(record.metric)
    if np.isfinite(score).all() and record.metric != aim.name:
        metric = "accuracy" if record.metric == "val_accuracy" else "RMSE, in the units of the target,"
        text += f" Its validation {metric} is {score.mean():.4g}{_deviation(score)}."
    gap = best.at_best("val_loss").mean() - best.at_best("train_loss").mean() if best.epochs else float("nan")
    if np.isfinite(gap):
        side = "below" if gap < 0 else "above"
        text += f" At its best epoch its validation loss is {abs(gap):.3g} {side} its training loss."
    return Statement("best trial", text)


def _named(record: Record, entry: Entry) -> str:
    return f"{entry.number} ({settings(entry, record.searched)})"


def _one_standard_error(record: Record) -> Statement:
    about = "one standard error"
    if not strengths(record):
        text = "No searched hyperparameter has a direction of stronger regularisation, so the one-standard-error rule"
        return Statement(about, f"{text} does not apply.")
    if short := lacking(record):
        count = f"{len(short)} of the best trials" if len(short) > 1 else "one of the best trials"
        text = f"The one-standard-error rule needs at least {REPLICATES} replicates, and the study has"
        text += f" {record.replicates}. With --training, the report trains {count} on {MORE} more replicates."
        return Statement(about, text)
    choice = one_standard_error(record)
    if choice is None:
        text = "The best trial has too few replicates with a finite value for the one-standard-error rule."
        return Statement(about, text)
    return Statement(about, " ".join([*_added(record, choice), *_chosen(record, choice)]))


def _added(record: Record, choice: Choice) -> list[str]:
    """Say which replicates were added, if any were."""
    if not _has_added(record, choice):
        return []
    other = "" if choice.best is record.best else f", not trial {record.best.number}"
    return [
        f"The study has {counted(record.replicates, 'replicate')}, too few for a standard error, so its"
        f" {len(considered(record))} best trials were trained on {MORE} more replicates.",
        f"Over all {choice.replicates} replicates, trial {_named(record, choice.best)} has the"
        f" {record.aim.superlative} mean {_short(record)}{other}.",
    ]


def _has_added(record: Record, choice: Choice) -> bool:
    return record.replicates < REPLICATES and choice.replicates > record.replicates


def _chosen(record: Record, choice: Choice) -> list[str]:
    """Say which trial the rule chooses, and why."""
    best, chosen = choice.best, choice.chosen
    if chosen is best:
        among = "trial among them" if _has_added(record, choice) else "complete trial"
        return [
            f"No more strongly regularised {among} is within one standard error of trial {best.number}, so the"
            f" one-standard-error rule chooses trial {best.number} itself."
        ]
    sentences = [
        f"Trial {_named(record, chosen)} is the most strongly regularised trial within one standard error of the best:"
        f" its {_short(record)} is {choice.difference:.3g} {record.aim.comparative}, and the standard error of this"
        f" paired difference over {choice.replicates} replicates is {choice.error:.3g}."
    ]
    undirected = [name for name in record.searched if name not in strengths(record)]
    if differing := [name for name in undirected if chosen.params.get(name) != best.params.get(name)]:
        sentences.append(f"It also differs from the best trial in {', '.join(differing)}.")
    return [*sentences, "Choose it if you prefer the simpler network."]


def _short(record: Record) -> str:
    """Return what sentences call the objective once they have named it."""
    return "loss" if record.aim.is_loss else record.aim.shown


def _edge(record: Record, edge: Edge) -> Statement:
    extends = (edge.name, edge.end) not in record.fixed_ends
    return Statement(f"edge of {edge.name}", edge.warning(extends=extends), warning=True)


def _constraints(record: Record) -> Statement:
    """Return which trials violate which constraint, and whether any trial may be chosen."""
    found = described([(entry.number, entry.violates) for entry in record.finished])
    text = f"{'. '.join(found)}." if found else f"All trials meet {', '.join(map(str, record.objectives.constraints))}."
    none = bool(record.best.violates)
    if none:
        text += " No complete trial meets all constraints: the best one is the best of those that violate some."
    return Statement("constraints", text, warning=none)


def _divergence(record: Record) -> Statement:
    never, later = len(record.never_finite), sum(entry.diverged_at is not None for entry in record.complete)
    text = f"{never} of {counted(len(record.entries), 'trial')} never had a finite loss."
    if later:
        text += f" {counted(later, 'complete trial')} diverged later and kept {'its' if later == 1 else 'their'} best"
        text += " value."
    return Statement("divergence", text)


def _validation_and_test(record: Record, held_out: HeldOut) -> Statement:
    best = record.best
    test, validation = held_out.score, best.at_best(record.metric)
    metric = "an accuracy" if record.metric == "val_accuracy" else "an RMSE"
    gap = test.mean() - validation.mean()
    # The record is in float32, so a gap smaller than this is its rounding.
    difference = f"a difference of {gap:+.3g}" if abs(gap) > 1e-6 * abs(validation.mean()) else "no difference"
    text = f"Trial {best.number} has {metric} of {test.mean():.4g}{_deviation(test)} on the test split and of"
    val_loss = best.at_best("val_loss").mean()
    text += f" {validation.mean():.4g} on the validation split, {difference}. Its test loss is"
    text += f" {held_out.loss.mean():.4g} and its validation loss {val_loss:.4g}, a difference of"
    text += f" {held_out.loss.mean() - val_loss:+.3g}."
    if (found := held_out.objective) is not None:
        low, high = found.interval()
        text += (
            f" Its {record.aim.name.removeprefix('val_')} is {found.value:.4g} on the test split, 95% CI {low:.4g} to"
        )
        text += f" {high:.4g} ({found.method}), and {best.objective:.4g} on the validation split."
        if low == high:
            text += " No draw differs, which says nothing of rows that the test split does not have."
    if record.shared:
        text += " Validation and test are the same rows in this study, so these differences say nothing."
    else:
        ranked = "was chosen" if record.chosen is best else "is the best"
        text += f" The trial {ranked} by its {record.aim.shown}, so its validation figures are optimistic on average;"
        text += " the test split had no part in the choice."
        if record.watched:
            text += " However, the recipe measures the test split in each epoch: a choice that was guided by these"
            text += " curves has used it."
    text += f" The test split has been read {held_out.times_read}."
    return Statement("validation and test", text, warning=held_out.readings > 5)


def _deviation(values: Floats) -> str:
    return f" (SD {values.std(ddof=1):.2g} over {len(values)} replicates)" if len(values) > 1 else ""
