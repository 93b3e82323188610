"""The statistics of an ablation against cases by hand, scipy's t test, and planted effects and interactions."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations, product

import numpy as np
import pytest
from scipy import stats

from search.ablate.effects import SELF, effects, factorial, holm, interactions, strongest
from search.ablate.measure import Trained, ValidationLoss, Variant
from search.ablate.sentences import Words, headline
from search.ablate.switches import Switch
from search.compare.pairs import Arm
from search.record.ablation import Effect, Interaction, Measured
from search.statistics.crossed import Floats
from search.train.metrics.objective import BUILT_IN


def arm(losses: Floats) -> Arm:
    return Arm("study", 0, {}, "", 1, 0.0, losses, losses, 0)


def switch(name: str, *, used: bool = True) -> Switch:
    return Switch(name, used, {name: 0.5}, {}, 0)


def alone(*names: str) -> dict[str, Variant]:
    """Return the variants with one technique switched."""
    return {name: frozenset({name}) for name in names}


def test_holm_by_hand() -> None:
    # 4 x 0.01; 3 x 0.02, raised to nothing; 2 x 0.03; 0.04 raised to the 0.06 before it.
    assert holm([0.04, 0.01, 0.03, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert holm([0.7, 0.9]) == [1.0, 1.0]
    assert holm([0.03]) == [0.03]
    assert holm([]) == []


def test_holm_rejects_what_the_procedure_rejects() -> None:
    """Step by step: the smallest p value against 5% / m, the next against 5% / (m - 1), until one is above."""
    rng = np.random.default_rng(0)
    for _ in range(200):
        p = rng.uniform(0, 0.1, rng.integers(1, 6)).tolist()
        rejected = set()
        for step, place in enumerate(sorted(range(len(p)), key=p.__getitem__)):
            if p[place] >= 0.05 / (len(p) - step):
                break
            rejected.add(place)
        assert {place for place, one in enumerate(holm(p)) if one < 0.05} == rejected


def test_an_effect_is_the_paired_t_test_where_rows_do_not_vary() -> None:
    rng = np.random.default_rng(1)
    own, without = rng.normal(1, 0.1, (8, 1)), rng.normal(1.2, 0.1, (8, 1))
    trained: Trained = {SELF: arm(own.repeat(30, 1)), frozenset({"l2"}): arm(without.repeat(30, 1))}
    found = effects(ValidationLoss(), trained, alone("l2"))["l2"]
    expected = stats.ttest_rel(without[:, 0], own[:, 0])
    interval = expected.confidence_interval(0.95)
    assert found.value == pytest.approx(without.mean() - own.mean())
    assert (found.low, found.high) == (pytest.approx(interval.low), pytest.approx(interval.high))
    assert found.p == found.adjusted == pytest.approx(expected.pvalue)
    assert found.of_rows == pytest.approx(0, abs=1e-12)


def test_a_variant_that_diverges_has_no_effect_and_counts_for_no_adjustment() -> None:
    rng = np.random.default_rng(2)
    tables = {name: rng.normal(size=(5, 20)) for name in ("", "a", "b")}
    trained: Trained = {frozenset(name): arm(table) for name, table in tables.items()}
    found = effects(ValidationLoss(), trained | {frozenset("c"): 2}, alone(*"abc"))
    assert found == effects(ValidationLoss(), trained, alone(*"ab"))
    assert interactions(ValidationLoss(), trained | {frozenset("ab"): 1}, "ab", {"a": True, "b": True}) == {
        ("a", "b"): None
    }


def planted(used: dict[str, bool]) -> Trained:
    """Variants of three techniques: each lowers the loss where it is on, and a and b less beside each other."""
    rng = np.random.default_rng(3)
    noise = rng.normal(0, 0.1, (6, 1)) + rng.normal(0, 0.1, 40)  # common to all variants
    trained: Trained = {}
    for variant in factorial("abc"):
        a, b, c = (used[name] != (name in variant) for name in "abc")
        loss = 2 - 0.5 * a - 0.3 * b - 0.1 * c + 0.2 * (a and b)
        own = rng.normal(0, 1e-3, (6, 40))
        trained[variant] = arm(loss + noise + own)
    return trained


@pytest.mark.parametrize("on", list(product([True, False], repeat=3)))
def test_planted_effects_and_interactions_are_found(on: tuple[bool, ...]) -> None:
    """Whichever of the techniques the trial uses: an interaction is about on and off, not about switched or not."""
    used = dict(zip("abc", on, strict=True))
    trained = planted(used)
    found = effects(ValidationLoss(), trained, alone(*"abc"))
    gains = {"a": 0.5 - 0.2 * used["b"], "b": 0.3 - 0.2 * used["a"], "c": 0.1}
    for name, gain in gains.items():
        assert found[name].value == pytest.approx(gain if used[name] else -gain, abs=2e-3)
        assert found[name].adjusted < 1e-3
    pairs = interactions(ValidationLoss(), trained, "abc", used)
    assert set(pairs) == set(combinations("abc", 2))
    for pair, value in (("a", "b"), 0.2), (("a", "c"), 0.0), (("b", "c"), 0.0):
        one = pairs[pair]
        assert one is not None
        assert one.value == pytest.approx(value, abs=1e-3)
        assert (one.adjusted < 1e-3) == (value > 0)


def test_the_strongest_are_those_with_the_largest_effects_in_either_direction() -> None:
    measured = {
        name: Measured(value, 0, 0, 0, 0, 0) for name, value in (("a", 0.1), ("b", -0.4), ("c", 0.2), ("d", 0.0))
    }
    assert strongest(measured, 2) == ["b", "c"]
    assert strongest(measured, 9) == ["a", "b", "c", "d"]


def words(aim: str = "val_loss", unit: str = "", family: int = 1) -> Words:
    return Words(BUILT_IN[aim], unit, 10, family, 1.0)


@pytest.mark.parametrize(
    ("aim", "used", "value", "verdict", "sentence"),
    [
        ("val_loss", True, 0.12, "helps", "l2 helps: without it the validation loss is 0.120 higher"),
        ("val_loss", True, -0.12, "hurts", "l2 hurts: without it the validation loss is 0.120 lower"),
        ("val_loss", False, -0.12, "would help", "l2 would help: with l2=0.5 the validation loss is 0.120 lower"),
        ("val_loss", False, 0.12, "would hurt", "l2 would hurt: with l2=0.5 the validation loss is 0.120 higher"),
        ("val_accuracy", True, -0.12, "helps", "l2 helps: without it the validation accuracy is 0.120 lower"),
        ("val_accuracy", False, -0.12, "would hurt", "l2 would hurt: with l2=0.5 the validation accuracy is 0.120 low"),
    ],
)
def test_verdicts(aim: str, used: bool, value: float, verdict: str, sentence: str) -> None:
    low, high = sorted((value / 2, 1.5 * value))
    found = words(aim).effect(switch("l2", used=used), 1.0, Measured(value, low, high, 0.01, 0.01, 0), 0)
    assert found.verdict == verdict
    assert found.sentence.startswith(sentence)
    assert found.sentence.endswith("(95% interval 0.060 to 0.180)")


def test_what_is_not_told_is_not_said() -> None:
    def said(measured: Measured | None, diverged: int = 0, used: bool = True) -> Effect:
        return words(family=3).effect(switch("l2", used=used), None, measured, diverged)

    open_ = said(Measured(0.01, -0.02, 0.04, 0.4, 0.8, 0))
    assert open_.sentence == (
        "l2: no difference could be told: without it the validation loss changes by 0.010"
        " (95% interval -0.020 to 0.040)"
    )
    adjusted = said(Measured(0.02, 0.01, 0.03, 0.03, 0.09, 0))
    assert adjusted.sentence.endswith(
        "(95% interval 0.010 to 0.030 of this technique alone; adjusted for 3 techniques, p is 0.09)"
    )
    same, rounding = said(Measured(0, 0, 0, 1, 1, 0)), said(Measured(2e-7, 1e-7, 3e-7, 1e-9, 1e-9, 0))
    assert same.sentence == "l2 makes no difference: without it each network has the same validation loss"
    assert rounding.sentence == same.sentence
    assert {one.verdict for one in (open_, adjusted, same, rounding)} == {"no difference told"}
    assert said(None, 3).sentence == "l2 helps: without it 3 of 10 networks never have a finite loss"
    assert said(None, 3, used=False).verdict == "would hurt"


def test_interactions_in_words() -> None:
    def said(
        value: float, adjusted: float = 0.01, aim: str = "val_loss", used: tuple[bool, bool] = (True, True)
    ) -> str:
        low, high = sorted((value / 2, 1.5 * value))
        pair = [switch(name, used=one) for name, one in zip(("l2", "dropout"), used, strict=True)]
        both = Measured(0.2, 0.1, 0.3, 0.01, 0.01, 0)
        found = words(aim).interaction(pair, 1.2, both, Measured(value, low, high, adjusted, adjusted, 0))
        return found.sentence

    assert said(0.12) == (
        "l2 and dropout each help less beside the other: l2 lowers the validation loss by 0.120 less with dropout than"
        " without it (95% interval 0.060 to 0.180); without l2 and dropout it changes by 0.20"
        " (95% interval 0.10 to 0.30)"
    )
    assert "each help more beside the other" in said(-0.12)
    assert "; without l2 and with dropout it changes by 0.20" in said(0.12, used=(True, False))
    assert "l2 raises the validation accuracy by 0.120 more with dropout" in said(0.12, aim="val_accuracy")
    assert said(0.12, 0.2).startswith("l2 and dropout: no interaction could be told")
    broken = words().interaction([switch("l2"), switch("dropout")], None, None, None)
    assert "no interaction is measured" in broken.sentence


def test_the_headline_names_every_technique() -> None:
    each = [
        Effect(name, True, {}, 0, None, None, 0, verdict, "")
        for name, verdict in (
            ("a", "helps"),
            ("b", "helps"),
            ("c", "hurts"),
            ("d", "would help"),
            ("e", "no difference told"),
        )
    ]
    pair = Interaction(("a", "b"), "", None, None, None, True, "")
    assert headline(each, [pair, replace(pair, told=False)]) == (
        "a and b help; c hurts; d would help; no difference could be told for e; a and b interact"
    )
    assert headline(each[2:4], []) == "c hurts; d would help"
