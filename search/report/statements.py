"""What a careful reader would say of a study, in sentences computed from its record."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from search.choose.edges import Edge
from search.errors import counted
from search.report import front
from search.report.networks import HeldOut
from search.report.record import Record
from search.report.statistics import MORE, REPLICATES, considered, edges, lacking, one_standard_error, saved
from search.report.strength import strengths
from search.report.style import settings


@dataclass(frozen=True)
class Statement:
    """A sentence or two; `warning` where something ought to be done about it."""

    about: str
    text: str
    warning: bool = False


def too_few(record: Record) -> Statement:
    """What is said instead of figures."""
    text = f"The study has {counted(len(record.complete), 'complete trial')}: a report compares at least two."
    return Statement("too few trials", f"{text} Run it on, and make the report again.", warning=True)


def statements(record: Record, found: HeldOut | None = None) -> list[Statement]:
    """All there is to say of a study with two complete trials or more."""
    told = [_best(record)]
    if record.objectives.several:
        # No trial is best: an edge is where a front ends, and the choice is the reader's.
        told.append(Statement("Pareto front", front.told(record)))
    else:
        told += [_choice(record), *(_edge(record, edge) for edge in edges(record))]
    if record.never_finite or any(one.diverged_at for one in record.complete):
        told.append(_diverged(record))
    if (total := saved(record)).by_pruning:
        text = f"Pruning saved {total.share:.0%} of {total.planned:,} planned epochs."
        told.append(Statement("pruning", text))
    if found is not None:
        told.append(_held_out(record, found))
    return told


def _best(record: Record) -> Statement:
    best = record.best
    text = (
        f"Trial {best.number} has the lowest validation loss, {best.objective:.4g} ({_settings(record, best.number)})."
    )
    score = best.at_best(record.metric)
    if np.isfinite(score).all():
        named = "accuracy" if record.metric == "val_accuracy" else "root mean squared error, in the target's units,"
        text += f" Its validation {named} is {score.mean():.4g}{_sd(score)}."
    gap = best.objectives.mean() - best.at_best("train_loss").mean() if best.epochs else float("nan")
    if np.isfinite(gap):
        text += f" At its best epoch its validation loss exceeds its training loss by {gap:.3g}."
        text = (
            text.replace(f"exceeds its training loss by {gap:.3g}", f"is {-gap:.3g} below its training loss")
            if (gap < 0)
            else text
        )
    return Statement("best trial", text)


def _settings(record: Record, number: int) -> str:
    entry = next(one for one in record.entries if one.number == number)
    return settings(entry, record.searched)


def _choice(record: Record) -> Statement:
    about = "one standard error"
    if not strengths(record):
        return Statement(about, "Nothing that was searched has a direction of stronger regularisation: no such choice.")
    has = f"The study has {counted(record.replicates, 'replicate')}"
    if wanted := lacking(record):
        count = f"{len(wanted)} of the best trials" if len(wanted) > 1 else "one of the best trials"
        text = f"The one-standard-error choice needs more replicates. {has}, and a standard error takes {REPLICATES} or"
        return Statement(about, f"{text} more: --training trains {count} on {MORE} more.")
    choice = one_standard_error(record)
    if choice is None:
        return Statement(about, "The best trial lacks finite replicates: no such choice.")
    best, chosen, told = choice.best, choice.chosen, ""
    if record.replicates < REPLICATES and choice.replicates > record.replicates:
        told = f"{has}, too few for a standard error: the {len(considered(record))} best trials were trained on {MORE}"
        told += f" more. Over all {choice.replicates} trial {best.number} ({_settings(record, best.number)}) has the"
        told += f" lowest mean loss{'' if best is record.best else f', not trial {record.best.number}'}. "
    if chosen is best:
        text = f"{told}No complete trial that is more strongly regularised is within one standard error of the best:"
        if told:
            text = f"{told}None of them that is more strongly regularised is within one standard error of it:"
        return Statement(about, f"{text} the best is also the one-standard-error choice.")
    text = (
        f"{told}Trial {chosen.number} ({_settings(record, chosen.number)}) is the most strongly regularised one that is"
    )
    text += (
        f" within one standard error of the best: its loss is {choice.difference:.3g} higher, and the standard error"
    )
    text += f" of that paired difference over {choice.replicates} replicates is {choice.error:.3g}."
    regularising = strengths(record)
    other = [name for name in record.searched if name not in regularising]
    if differs := [name for name in other if chosen.params.get(name) != best.params.get(name)]:
        text += f" It differs from the best in {', '.join(differs)} too."
    return Statement(about, f"{text} Whoever prefers the simpler network takes it.")


def _edge(record: Record, edge: Edge) -> Statement:
    extends = (edge.name, edge.end) not in record.fixed_ends
    return Statement(f"edge of {edge.name}", edge.warning(extends=extends), warning=True)


def _diverged(record: Record) -> Statement:
    never, later = len(record.never_finite), sum(one.diverged_at is not None for one in record.complete)
    text = f"Of {len(record.entries)} trials {never} never had a finite loss, and {later} complete ones diverged later"
    return Statement("divergence", f"{text}, keeping the best they had.")


def _held_out(record: Record, found: HeldOut) -> Statement:
    best = record.best
    test, val = found.score, best.at_best(record.metric)
    accuracy = record.metric == "val_accuracy"
    named = "accuracy" if accuracy else "root mean squared error"
    text = f"On the test split trial {best.number} has {named} {test.mean():.4g}{_sd(test)}, on validation"
    gap = test.mean() - val.mean()
    # Validation is recorded in float32: a smaller gap is its rounding.
    told = f"a gap of {gap:+.3g}" if abs(gap) > 1e-6 * abs(val.mean()) else "no gap"
    text += f" {val.mean():.4g}: {told}. Its test loss is {found.loss.mean():.4g},"
    text += f" validation {best.objective:.4g} ({found.loss.mean() - best.objective:+.3g})."
    if record.shared:
        text += " Validation and test are the same rows here: the gap says nothing."
    else:
        text += " Validation chose this trial, so what it says of it is optimistic on average;"
        text += " the test split had no part in it."
        if record.watched:
            text += " But the recipe measures the test split each epoch: whoever looked at that has chosen by it."
    times = "once" if found.readings == 1 else f"{found.readings} times"
    return Statement("validation and test", f"{text} The test split has been read {times}.", warning=found.readings > 5)


def _sd(values: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> str:
    return f" (SD {values.std(ddof=1):.2g} over {len(values)} replicates)" if len(values) > 1 else ""
