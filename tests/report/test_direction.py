"""A report of a study that maximises a metric: its choices are those of the mirrored loss, and its words fit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from support.records import entry, record, with_rate

from search.record.curves import Curves
from search.record.objectives import Objectives
from search.report import curves, history, parallel, slices, statistics
from search.report.networks import HeldOut
from search.report.record import Entry, Record
from search.report.statements import summarise
from search.report.strength import by_strength, weakest
from search.train.metrics.bootstrap import Draws, bootstrap

F1 = Objectives(("val_f1",))
LOSSES = [[0.25, 0.5, 0.375], [0.375, 0.5, 0.375], [0.75, 1.0, 0.875], [0.5, 0.625, 0.5]]
STRENGTHS = [1e-4, 1e-2, 1e-6, 1e-1]


def scored(number: int, losses: list[float], **more: Any) -> Entry:
    """Return a trial whose F1 is 1 minus an eighth of its losses, and whose loss falls by itself, at another epoch."""
    made = entry(number, losses, **more)
    assert made.curves is not None
    f1 = 1 - made.curves.of("val_loss") / 8
    names = (*made.curves.metrics, "val_f1")
    values = np.concatenate([made.curves.values, f1[None]])
    values[names.index("val_loss"), :, 0] = 0.0625  # the lowest loss is at the first epoch, the highest F1 at the last
    fields = {name: value for name, value in vars(made).items() if name in Entry.__dataclass_fields__}
    value = 1 - np.mean(losses) / 8
    return Entry(**fields | {"value": float(value), "curves": Curves(names, values), "aim": F1.first})


def pair(**more: Any) -> tuple[Record, Record]:
    """Return a study of losses and its mirror image."""
    given = [(n, losses, {"params": {"l2": STRENGTHS[n]}}) for n, losses in enumerate(LOSSES)]
    plain = [entry(n, losses, **each) for n, losses, each in given]
    mirrored = [scored(n, losses, **each) for n, losses, each in given]
    return record(plain, replicates=3, **more), record(mirrored, replicates=3, objectives=F1, **more)


def test_trials_are_chosen_as_by_the_mirrored_loss() -> None:
    losses, scores = pair()
    assert [one.number for one in scores.complete] == [one.number for one in losses.complete] == [0, 1, 3, 2]
    assert weakest(scores).number == weakest(losses).number
    assert [one.number for one in by_strength(scores, scores.complete)] == [2, 0, 1, 3]
    mine, theirs = statistics.one_standard_error(scores), statistics.one_standard_error(losses)
    assert mine is not None
    assert theirs is not None
    assert (mine.best.number, mine.chosen.number) == (theirs.best.number, theirs.chosen.number) == (0, 1)
    assert mine.difference == pytest.approx(theirs.difference / 8)
    assert mine.error == pytest.approx(theirs.error / 8)


def test_added_replicates_that_diverged_are_the_worst() -> None:
    entries = [scored(n, [loss[0]], params={"l2": STRENGTHS[n]}) for n, loss in enumerate(LOSSES)]
    added = {n: 1 - np.array([loss] * 5) / 8 for n, loss in enumerate((0.5, 0.25, 0.75, 0.625))}
    added[0][2] = np.inf
    choice = statistics.one_standard_error(record(entries, objectives=F1, added=added))
    assert choice is not None
    assert choice.best.number == 1


def test_what_is_said_names_the_metric_and_its_direction() -> None:
    _, scores = pair()
    found = Draws(np.array([0.9]), np.full((2000, 1), 0.9), np.ones((2000, 1), dtype=np.int64), 40)
    held = HeldOut(np.array([0.5]), np.array([0.75]), np.zeros(40), np.zeros(40), 1, objective=bootstrap(found))
    said = {one.about: one.text for one in summarise(scores, held)}
    assert "has the highest validation macro F1, 0.9531." in said["best trial"]
    assert "its validation macro F1 is 0.00521 lower, and the standard error" in said["one standard error"]
    tested = said["validation and test"]
    assert "Its f1 is 0.9 on the test split, 95% CI 0.9 to 0.9 (bootstrap over test rows, 2,000 draws)" in tested
    assert "No draw differs" in tested
    assert "The trial was chosen by its validation macro F1" in tested
    # The validation loss is that of the epoch of the highest F1, the last one.
    assert "its validation loss 0.375, a difference of +0.125" in tested


def test_figures_show_the_metric() -> None:
    _, scores = pair()
    drawn = history.draw(scores)
    assert drawn.figure is not None
    (panel,) = drawn.figure.axes
    assert panel.get_ylabel() == "validation macro F1"
    steps = next(line for line in panel.lines if line.get_label() == "best complete trial so far")
    assert steps.get_ydata() == pytest.approx([1 - 0.375 / 8] * 5)
    assert "macro F1 at the best epoch" in slices.draw(scores).caption
    figure = curves.draw(scores)
    assert figure.figure is not None
    line = next(one for one in figure.figure.axes[0].lines if one.get_label() == "validation")
    assert line.get_markevery() == [3]
    assert "that of the highest validation macro F1" in figure.caption
    shown = parallel.draw(with_rate(scores)).figure
    assert shown is not None
    assert shown.axes[0].collections[0].get_cmap().name == "viridis_r"
