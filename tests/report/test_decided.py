"""What a report says and shows of a study's decision: each number is that of the stored decision."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from matplotlib.axes import Axes
from optuna.distributions import CategoricalDistribution
from support.records import entry, record

from search.record.decision import Decision, StrengthRange, Yardstick
from search.report import page_data, path, slices
from search.report.answer import answer
from search.report.band import LABEL
from search.report.drawing import CaptionedFigure
from search.report.record import Record
from search.report.statement import Statement
from search.report.statements import summarise
from search.show.interval import Interval

STRENGTH = StrengthRange("l2", 1e-2, 1e-4, 5e-2, (True, True))
LINEAR = Yardstick("a regularised linear model", 0.25, Interval(0.12, 0.03, 0.21))
DECISION = Decision(
    finished=4,
    objective="val_loss",
    best=0,
    chosen=0,
    value=Interval(0.1132, 0.0921, 0.1343),
    compared={0: 3, 1: 3, 2: 2, 3: 2},
    tied=[0, 1],
    reason="each trial that is left has 3 replicates",
    strengths=[STRENGTH],
    yardsticks=[Yardstick("the best constant prediction", 1.1), LINEAR],
)
PARAMS = ({"l2": 1e-3}, {"l2": 1e-2}, {"l2": 1e-5}, {"l2": 1e-1})
ENTRIES = [entry(number, [0.1 + number / 100], params=params) for number, params in enumerate(PARAMS)]


def of(decision: Decision | None = DECISION, **more: Any) -> Record:
    return record(ENTRIES, decision=decision, judged_on="359 validation rows", constant=1.1, **more)


def said(about: str, **changes: Any) -> Statement:
    (one,) = [one for one in summarise(of(replace(DECISION, **changes))) if one.about == about]
    return one


def bands(shown: CaptionedFigure) -> list[list[tuple[float, float]]]:
    """Return the ends of what is shaded in each panel."""
    assert shown.figure is not None

    def shaded(panel: Axes) -> list[tuple[float, float]]:
        extents = [one.get_extents().transformed(panel.transData.inverted()) for one in panel.patches]
        return [(box.x0, box.x1) for box in extents]

    return [shaded(panel) for panel in shown.figure.axes if panel.get_visible()]


def test_the_first_screen_has_the_value_on_new_rows_and_the_range() -> None:
    shown = answer(of())
    assert shown.sentence == "Best of 4 complete trials: l2 = 0.001; l2 from 0.0001 to 0.05 cannot be told from it."
    assert shown.setting == "trial 0, the best: l2 = 0.001"
    assert shown.value == (
        "validation loss 0.1 on the 359 validation rows that chose it; 0.113 (95% CI 0.092 to 0.134) on new rows;"
        " a regularised linear model has 0.25, a constant prediction has 1.1 and the least regularised complete trial"
        " 0.12."
    )


def test_the_first_screen_says_why_another_trial_than_the_best_is_chosen() -> None:
    why = "trial 0 has the lowest validation loss of the search, 0.1, but over more replicates trial 1"
    by_mean = answer(of(replace(DECISION, chosen=1, tied=[1, 0])))
    assert by_mean.sentence.startswith("Chosen among 4 complete trials: l2 = 0.01;")
    assert by_mean.setting == f"trial 1, chosen: l2 = 0.01; {why} has the best mean"
    assert by_mean.value.startswith("validation loss 0.11 on the 359 validation rows")
    stronger = answer(of(replace(DECISION, chosen=1)))
    assert stronger.setting.endswith(f"{why} is as good within the tolerance, and more strongly regularised")
    assert stronger.next.startswith("Take it with regsearch export 'a study' --refit.")


def test_a_range_is_not_to_be_searched_further_where_the_chosen_trial_lies_within() -> None:
    entries = [entry(0, [0.1], params={"l2": 1.1e-6}), *ENTRIES[1:]]
    at_edge = replace(of(), entries=entries)
    assert "Search further" in answer(at_edge).next
    within = replace(at_edge, decision=replace(DECISION, chosen=1))
    assert answer(within).next.startswith("Take it with")
    assert any(one.about == "edge of l2" for one in summarise(within))


def test_without_a_decision_all_is_as_before() -> None:
    shown = answer(of(None))
    assert shown.sentence == "Best of 4 complete trials: l2 = 0.001."
    assert shown.value == (
        "validation loss 0.1; a constant prediction has 1.1 and the least regularised complete trial 0.12."
    )
    assert {one.about for one in summarise(of(None))} == {"best trial", "one standard error"}
    for draw in (slices.draw, path.draw):
        assert not any(bands(draw(of(None))))
        assert "shaded" not in draw(of(None)).caption
    assert page_data.data(of(None))["params"][0]["band"] == []


def test_choice() -> None:
    assert said("choice").text == (
        "2 of the 4 trials that were compared cannot be told apart: 0 and 1. Trial 0 (l2 = 0.001) is chosen."
        " No more replicates were trained, because each trial that is left has 3 replicates. On new rows, the"
        " validation loss of trial 0 is expected to be 0.113 (95% CI 0.092 to 0.134)."
    )
    assert said("choice", tied=[0], value=None).text == (
        "Trial 0 (l2 = 0.001) is chosen: it is told to be better than all others of the 4 trials that were compared."
    )
    assert said("choice", tied=[0], compared={0: 3}, value=None).text.endswith("No other trial was compared with it.")
    assert said("choice", tied=[*range(8)], compared=dict.fromkeys(range(8), 3)).text.startswith(
        "All 8 trials that were compared cannot be told apart: 0, 1, 2, 3, 4 and 3 others."
    )


@pytest.mark.parametrize(
    ("strength", "text"),
    [
        (STRENGTH, "In trial 0, l2 is 0.01; anything from 0.0001 to 0.05 cannot be told from it."),
        (
            replace(STRENGTH, bounded=(True, False), off=True),
            "In trial 0, l2 is 0.01; anything from 0.0001 to 0.05, the highest value of its range, cannot be told"
            " from it, nor can a trial without l2.",
        ),
        (
            replace(STRENGTH, bounded=(False, True), chosen=None, off=True),
            "In trial 0, l2 is off; anything from 0.0001, the lowest value of its range, to 0.05 cannot be told from"
            " it.",
        ),
    ],
)
def test_how_strong(strength: StrengthRange, text: str) -> None:
    assert said("how strong", strengths=[strength]) == Statement("how strong", text)


def test_what_the_split_cannot_tell_is_a_warning() -> None:
    untold = replace(DECISION, strengths=[replace(STRENGTH, bounded=(False, False))])
    (one,) = [one for one in summarise(of(untold)) if one.about == "how strong"]
    assert one.warning
    assert one.text.endswith(
        "The 359 validation rows cannot tell how strong l2 should be. More rows would help, or a cross-validation with"
        " --folds."
    )
    (of_folds,) = [one for one in summarise(of(untold, overlap=0.25)) if one.about == "how strong"]
    assert of_folds.text.endswith("More rows would help.")


@pytest.mark.parametrize(
    ("gain", "text", "warning"),
    [
        (Interval(0.12, 0.03, 0.21), "is better by 0.120 (95% CI 0.030 to 0.210).", False),
        (
            Interval(0.04, -0.05, 0.13),
            "does not beat it beyond chance: the gain is 0.040 (95% CI -0.050 to 0.130).",
            True,
        ),
        (Interval(-0.2, -0.3, -0.1), "is worse by 0.20 (95% CI 0.10 to 0.30).", True),
    ],
)
def test_linear_model(gain: Interval, text: str, warning: bool) -> None:
    one = said("linear model", yardsticks=[replace(LINEAR, gain=gain)])
    told = f"A regularised linear model reaches a validation loss of 0.25 on the same rows. Trial 0 {text}"
    assert one.text.startswith(told)
    assert one.warning == warning == ("--set hidden=0" in one.text)


def test_the_band_is_the_stored_range() -> None:
    """In every panel of the strength, and in no other; the page has the same numbers."""
    ends = pytest.approx((1e-4, 5e-2))
    assert bands(slices.draw(of())) == [[ends]]
    assert bands(path.draw(of())) == [[ends], [ends]]
    assert f"{LABEL} are shaded" in path.draw(of()).caption
    assert page_data.data(of())["params"][0]["band"] == [[1e-4, 5e-2]]


def test_the_band_of_choices_shades_those_within() -> None:
    """Choices lie at 0, 1, ..., in the order of the recipe."""
    choices = {"l2": CategoricalDistribution((1e-1, 1e-3, 1e-5, 1e-2))}
    assert bands(slices.draw(record(ENTRIES, choices, decision=DECISION))) == [
        [pytest.approx(one) for one in ((0.5, 1.5), (2.5, 3.5))]
    ]
