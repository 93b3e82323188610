"""What figures and their captions claim of a record: who is shown, why one is not, and on what axes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from optuna.distributions import FloatDistribution
from support.records import entry, record, with_rate

from search.report import curves, heldout, parallel, path, pruning, slices, weights
from search.report.drawing import CaptionedFigure
from search.report.networks import HeldOut, Networks
from search.report.record import Record
from search.report.statements import summarise

LR = {"lr": FloatDistribution(1e-4, 1e-1, log=True)}


def strong(number: int, l2: float, loss: float, **more: Any) -> Any:
    return entry(number, [loss], params={"l2": l2}, **more)


def panels(shown: CaptionedFigure) -> list[Axes]:
    """Of a figure that has been laid out."""
    assert shown.figure is not None
    FigureCanvasAgg(shown.figure).draw()
    return [panel for panel in shown.figure.axes if panel.get_visible()]


def ticks(panel: Axes, axis: str = "y") -> list[str]:
    """The labels within the axis's limits."""
    which = panel.yaxis if axis == "y" else panel.xaxis
    low, high = sorted(which.get_view_interval())
    return [one.label1.get_text() for one in which.get_major_ticks() if low <= one.get_loc() <= high]


@pytest.mark.parametrize(
    ("trials", "titles"),
    [
        (
            [(1e-5, 0.3), (1e-3, 0.1), (1e-2, 0.2)],
            ["weakest complete: trial 0", "best: trial 1", "strongest complete: trial 2"],
        ),
        ([(1e-3, 0.1), (1e-2, 0.2)], ["best, and weakest complete: trial 0", "strongest complete: trial 1"]),
        ([(1e-3, 0.2), (1e-2, 0.1)], ["weakest complete: trial 0", "best, and strongest complete: trial 1"]),
        ([(1e-3, 0.2), (1e-3, 0.1)], ["best: trial 1", "worst complete: trial 0"]),
    ],
)
def test_titles_of_curves_say_among_whom(trials: list[tuple[float, float]], titles: list[str]) -> None:
    """Also with a pruned trial that is stronger than all complete ones: no two panels are called the same."""
    complete = [strong(number, *one) for number, one in enumerate(trials)]
    assert [panel.get_title().split("\n")[0] for panel in panels(curves.draw(record(complete)))] == titles
    if "worst" in titles[-1]:
        return
    pruned = strong(9, 5e-2, 0.9, state="pruned", epochs=2)
    found = [panel.get_title().split("\n")[0] for panel in panels(curves.draw(record([*complete, pruned])))]
    assert found == [*titles, "strongest, pruned at epoch 2: trial 9"]


def test_one_epoch_is_drawn() -> None:
    """Each line is a point that is seen, and the axis counts whole epochs."""
    shown = curves.draw(record([strong(0, 1e-3, 0.1, epochs=1), strong(1, 1e-2, 0.2, epochs=1)]))
    panel = panels(shown)[0]
    assert len(panel.lines) == 3
    assert all(line.get_marker() not in (None, "None", "") for line in panel.lines)
    assert ticks(panel, "x") == ["0", "1", "2"]


def test_path_begins_at_no_share_and_says_how_long_trials_trained() -> None:
    some = [strong(0, 1e-3, 0.1), strong(1, 1e-2, 0.2)]
    shown = path.draw(record(some))
    assert ticks(panels(shown)[0])[0].startswith("0.0")
    assert "(epoch 4 for complete trials)" in shown.caption
    assert "runed" not in shown.caption
    several = entry(3, [0.5, 0.6], params={"l2": 5e-2}, state="pruned", epochs=3)
    shown = path.draw(record([*some, strong(2, 2e-2, 0.4, state="pruned", epochs=2), several]))
    assert "(epoch 4 for complete trials; epochs 2 to 3 for pruned trials, shown hollow)" in shown.caption
    assert "trained for less time" in shown.caption


def test_why_one_network_is_shown_alone() -> None:
    def caption(of: Record, which: str) -> str:
        shown = of.best if which == "best" else of.complete[-1]
        return weights.draw(of, Networks([(which, shown, np.ones(9))], [])).caption

    weak, best, strongest = strong(0, 1e-5, 0.3), strong(1, 1e-3, 0.1), strong(2, 1e-2, 0.2)
    assert "best trial is itself the least regularised" in caption(record([best, strongest]), "best")
    assert "Trial 0, the least regularised, is not shown, because it diverges" in caption(record([weak, best]), "best")
    assert "The best trial is not shown, because its first" in caption(record([weak, best]), "least regularised")
    undirected = record([entry(n, [0.1 * n], params={"lr": 1e-3}) for n in (1, 2)], LR)
    assert "no searched hyperparameter has a direction" in caption(undirected, "best")
    both = Networks([("least regularised", weak, np.ones(9)), ("best", best, np.ones(9))], [])
    assert weights.draw(record([weak, best]), both).caption.endswith("beyond the axis.")


@pytest.mark.parametrize("last", [0.2, 0.12168, 0.1216701, 30.0])
def test_values_that_hardly_differ_are_told_apart(last: float) -> None:
    """No label of an axis is there twice, nor is anything to be added to it."""
    of = record([strong(0, 1e-3, 0.12167), strong(1, 1e-2, last)])
    main, bar = panels(parallel.draw(with_rate(of)))
    assert len(set(ticks(bar))) == len(ticks(bar)) > 1
    assert not bar.yaxis.get_offset_text().get_text()
    written = [text.get_text() for text in main.texts]
    assert len(set(written)) == len(written) == 6
    (panel,) = panels(slices.draw(of))
    assert not panel.yaxis.get_offset_text().get_text()


def test_one_value_has_no_scale() -> None:
    shown = parallel.draw(with_rate(record([strong(0, 1e-3, 0.1), strong(1, 1e-2, 0.1 + 1e-12)])))
    (main,) = panels(shown)
    assert [text.get_text() for text in main.texts].count("0.1") == 2  # the value, and the end of l2's range
    assert "of the same value" in shown.caption


def test_a_narrow_range_has_ticks() -> None:
    narrow = {"l2": FloatDistribution(1e-6, 1.1e-6, log=True)}
    of = record([strong(0, 1.01e-6, 0.1), strong(1, 1.05e-6, 0.2)], narrow)
    (panel,) = panels(slices.draw(of))
    assert len(set(ticks(panel, "x"))) > 2


def test_settings_are_within_their_panel() -> None:
    some = [strong(n, 1e-3, 0.1 + n, label=f"setting {n}") for n in range(3)]
    (panel,) = panels(slices.draw_settings(record(some)))
    bottom, top = panel.get_ylim()
    assert top <= -0.5
    assert bottom >= 2.5


@pytest.mark.parametrize(
    ("predicted", "bar", "said"),
    [
        ([0, 1, 2], False, "All predictions are right."),
        ([0, 2, 2], False, "The prediction is right for 2 of them; each shaded cell is one wrong row."),
        ([1, 2, 1], False, "The prediction is right for 0 of them; each shaded cell is one wrong row."),
    ],
)
def test_confusion_has_a_scale_where_shades_differ(predicted: list[int], bar: bool, said: str) -> None:
    of = record([strong(0, 1e-3, 0.1), strong(1, 1e-2, 0.2)])

    def drawn(truth: list[int], predicted: list[int], classes: int = 3) -> CaptionedFigure:
        one = np.array([0.1])
        return heldout.draw(of, HeldOut(one, one, np.array(truth), np.array(predicted), 1), [*"abc"] * (classes // 3))

    shown = drawn([0, 1, 2], predicted)
    assert (len(panels(shown)) == 2) == bar
    assert shown.caption.endswith(said)
    assert len(panels(drawn([0, 0, 0, 1], [1, 1, 0, 0]))) == 2
    # Of many classes no counts are written: the scale is all there is.
    assert len(panels(drawn([0, 1, 2], [0, 2, 2], classes=30))) == 2


def test_why_a_rung_has_no_rank_correlation() -> None:
    def caption(losses: list[float], reported: list[float]) -> str:
        entries = [
            strong(n, 1e-3, loss, reported={2: early})
            for n, (loss, early) in enumerate(zip(losses, reported, strict=True))
        ]
        return pruning.caption(record(entries, rungs=[2]))

    assert "At epoch 2, 2 complete trials reported a value, and a rank correlation needs 3." in caption([1, 2], [1, 2])
    assert "At epoch 2, 1 complete trial reported a value" in caption([1], [1])
    assert "At epoch 2, all 3 complete trials have one value" in caption([1, 2, 3], [1, 1, 1])
    told = caption([1, 2, 3], [1, 2, 3])
    assert "Spearman's rank correlation with the final objective is 1.00 (n = 3)." in told
    assert "pruning let finish" not in told


def test_a_gap_of_rounding_is_none() -> None:
    """The record is in float32, the test split's score in float64."""
    of = record([entry(0, [0.1]), entry(1, [0.2])])
    held = HeldOut(np.array([0.1]), np.array([0.5 + 1e-9]), np.zeros(4), np.zeros(4), readings=1)
    said = {one.about: one.text for one in summarise(of, held)}
    assert "of 0.5 on the validation split, no difference." in said["validation and test"]
