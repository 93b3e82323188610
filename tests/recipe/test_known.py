"""Tests of the known settings with which a search begins: what each of them decides, and those that are refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from support.small_studies import Crash, Quiet, outcome, small

from search.cli.values import parse_setting
from search.errors import RequestError
from search.recipe import Recipe
from search.recipe.discovery import select
from search.recipe.known import known_notes
from search.recipe.space import Space
from search.record.curves import CELL
from search.study import results

LOG = {"low": 1e-4, "high": 1e-1, "log": True}
LR = {"lr": LOG}


def begun(*enqueued: dict[str, Any], techniques: tuple[str, ...] = ("l2",), **fields: Any) -> Space:
    recipe = Recipe.parse({"name": "x", "techniques": techniques} | fields, "x").but("x", enqueue=enqueued)
    return Space.resolve(recipe, select(techniques, ()))


def test_what_a_setting_leaves_out_has_its_default_if_that_is_searched_or_is_drawn() -> None:
    first, second = begun({"l2": 1e-3}, {}, space=LR).first
    assert (first.params, first.assumed, first.drawn) == ({"lr": 1e-3, "l2": 1e-3}, ("lr",), ())
    # 0 is the default of l2, and not in its range.
    assert (second.params, second.assumed, second.drawn) == ({"lr": 1e-3}, ("lr",), ("l2",))
    away = begun({"l2": 1e-3}, space={"lr": {"low": 0.01, "high": 0.1}}).first[0]
    assert (away.params, away.drawn) == ({"l2": 1e-3}, ("lr",))


def test_off_and_groups_follow_from_what_is_given() -> None:
    space = begun(
        {"l2": 1e-3},
        {"l2": "off", "cutout": 0.3},
        {"augment": "cutmix"},
        {"l2": 0},
        techniques=("l2", "cutmix", "cutout"),
        space={"l2": {"off": True, **LOG}},
        one_of={"augment": ["cutmix", "cutout", "none"]},
    )
    assert [dict(one.params) for one in space.first] == [
        {"augment": "none", "use l2": True, "l2": 1e-3},
        {"augment": "cutout", "use l2": False, "cutout": 0.3, "cutout_patch": 0.5},
        {"augment": "cutmix", "use l2": False},
        {"augment": "none", "use l2": False},
    ]
    # The neutral value is no default where the technique is chosen.
    assert [one.drawn for one in space.first] == [(), (), ("cutmix",), ()]


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ({"l4": 1}, "setting 1: unknown hyperparameter 'l4': did you mean"),
        ({"l2": 5}, "setting 1: l2 is searched over off,0.0001:0.1:log, which does not hold 5.0: give a value in it"),
        ({"l2": "x"}, "setting 1: l2 takes a number, got 'x'"),
        ({"epochs": 7}, "setting 1: epochs is fixed at 100 in all trials: search it, as in --space epochs=100,7"),
        ({"optimizer": "adam", "momentum": 0.9}, "momentum exists only where optimizer is sgd or rmsprop; here optim"),
        ({"g": "cutot"}, "setting 1: unknown choice of g 'cutot': did you mean 'cutout'?"),
        ({"g": "none", "cutout": 0.5}, "setting 1: cutout has no use here, because g is none: leave it out"),
        ({"cutout": 0.5, "cutmix": 0.5}, "cutout and cutmix are given, but a trial uses one technique of g"),
    ],
)
def test_a_setting_that_cannot_be(setting: dict[str, Any], says: str) -> None:
    fields: dict[str, Any] = {
        "space": {
            "l2": {"off": True, **LOG},
            "optimizer": {"choices": ["adam", "sgd"]},
            "momentum": {"choices": [0.5]},
        },
        "one_of": {"g": ["cutmix", "cutout", "none"]},
    }
    with pytest.raises(RequestError) as caught:
        begun(setting, techniques=("l2", "cutmix", "cutout"), **fields)
    assert says in str(caught.value)


def test_the_same_setting_twice_is_refused_unless_something_is_drawn() -> None:
    with pytest.raises(RequestError, match="setting 1 and setting 2 are the same"):
        begun({"l2": 1e-3}, {"l2": 1e-3, "lr": 1e-3}, space=LR)
    assert len(begun({}, {}, space=LR).first) == 2


def test_settings_beside_a_search_are_not_a_grid() -> None:
    listed: dict[str, Any] = {"name": "x", "techniques": ["l2"], "settings": [{"name": "weak", "set": {"l2": 1e-3}}]}
    assert Recipe.parse(listed, "x").sampler == "grid"
    assert not Recipe.parse(listed, "x").settings_first
    for more in ({"space": LR}, {"sampler": "tpe"}):
        recipe = Recipe.parse(listed | more, "x")
        assert (recipe.sampler, recipe.ask_batch, recipe.pruner.name) == ("tpe", 8, "halving")
        assert recipe.settings_first
        # As it is stored, with all fields, it is the same.
        assert Recipe.parse(recipe.model_dump(mode="json"), "x").settings_first
    plain = Recipe.parse({"name": "x", "space": LR}, "x")
    assert plain.but("x", enqueue={"lr": 0.01}) == plain.but("x", enqueue=[{"lr": 0.01}])
    with pytest.raises(RequestError, match="x: enqueue takes a sampler that draws, such as tpe; a grid trains all"):
        Recipe.parse({"name": "x", "sampler": "grid", "space": LR}, "x").but("x", enqueue=[{"lr": 0.01}])


def test_the_command_line_gives_settings() -> None:
    assert parse_setting("l2=1e-3, lr=0.01") == {"l2": 1e-3, "lr": 0.01}
    assert parse_setting("hidden=64,32,l2=off") == {"hidden": "64,32", "l2": "off"}
    for wrong in ("", "l2", "=3", "l2=1,l2=2"):
        with pytest.raises(RequestError, match="--enqueue"):
            parse_setting(wrong)


def test_a_note_says_what_is_left_out() -> None:
    recipe = Recipe.parse({"name": "x", "techniques": ["l2"], "space": LR}, "x").but("x", enqueue=[{}, {"l2": 1e-3}])
    (note,) = known_notes(recipe, Space.resolve(recipe, select(["l2"], ())).first)
    assert note == (
        "setting 1 takes the default of lr (0.001) and leaves l2 to the sampler; setting 2 takes the default of lr"
        " (0.001): give a setting all values to decide otherwise"
    )


def test_a_study_begins_with_them_and_goes_on_with_them(tmp_path: Path) -> None:
    fields: dict[str, Any] = {
        "settings": [{"name": "weak", "set": {"l2": 1e-5, "lr": 0.01}}, {"set": {"lr": 0.02}}, {"set": {"lr": 0.03}}],
        "ask_batch": 2,
        "trials": 6,
    }
    whole = small(tmp_path, **fields)
    whole.run(observers=[])
    trials = whole.optuna_study.trials
    assert [trial.params["lr"] for trial in trials[:3]] == [0.01, 0.02, 0.03]
    assert [trial.user_attrs.get(CELL) for trial in trials] == [0, 1, 2, None, None, None]
    assert len({trial.params["l2"] for trial in trials}) == 6
    cut = small(tmp_path, storage="cut.db", **fields)
    with pytest.raises(Crash):
        cut.run(observers=[Quiet(fail_after_told=1)])
    small(tmp_path, storage="cut.db", slots=1, **fields).run(observers=[])
    assert outcome(small(tmp_path, storage="cut.db", **fields)) == outcome(whole)
    table = results.best(whole, trials)
    cells = [dict(zip(table.headings, row, strict=True)) for row in table.rows]
    assert {row["setting"] for row in cells} == {"weak", ""}
    assert all(row["lr"] for row in cells)
    with pytest.raises(RequestError, match=r"setting 1: lr=0\.01 l2=1e-05 there, none here"):
        small(tmp_path, ask_batch=2).optuna_study  # noqa: B018
    whole.report(tmp_path / "page", training=False)
    (page,) = (tmp_path / "page").glob("*.html")
    assert "weak" in page.read_text(encoding="utf-8")
