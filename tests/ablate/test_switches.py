"""Which techniques are switched, how, and what is said of the others; on studies whose trials are listed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.small_studies import small

from search import RequestError, Study
from search.ablate.switches import Switch, Switches, find, switched
from search.study.retrain import complete_trial
from search.technique import Numeric, Value

OFF: dict[str, Any] = {"l2": 0.0, "dropout": 0.0, "lr_schedule": "constant"}
SETTINGS = [
    OFF | {"lr": 0.02, "l2": 0.01, "lr_schedule": "step", "step_size": 1},
    OFF | {"lr": 0.02, "dropout": 0.1},
    OFF | {"lr": 1e-5, "dropout": 0.3},
    OFF | {"lr": 1e-6},
]
TINY: dict[str, Any] = {"epochs": 2, "hidden": "8", "batch_size": 50}


def listed(folder: Path, settings: list[dict[str, Any]], techniques: list[str], **changes: Any) -> Study:
    """A study of these settings, one trial each."""
    recipe: dict[str, Any] = {"trials": len(settings), "ask_batch": 4, "space": {}, "set": TINY, "sampler": "grid"}
    recipe |= {"techniques": techniques, "settings": [{"set": one} for one in settings], "pruner": {"name": "none"}}
    return small(folder, **recipe | changes)


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    folder = tmp_path_factory.mktemp("switches")
    return listed(folder, SETTINGS, ["l2", "dropout", "lr_schedule", "max_norm", "batch_size"]).run(observers=())


def around(study: Study, number: int, given: Mapping[str, Value] | None = None) -> Switches:
    return find(study, complete_trial(study, number), given or {})


def test_what_a_trial_uses_is_switched_off(study: Study) -> None:
    found = around(study, 0)
    l2, dropout, schedule = found.each
    assert (l2.technique, l2.used, l2.at, l2.changes) == ("l2", True, {"l2": 0.01}, {"l2": 0.0})
    assert schedule.used
    assert schedule.at["lr_schedule"] == "step"
    without = switched(study.space, found.values, [l2])
    assert without == found.values | {"l2": 0.0}
    assert "l2" not in study.numeric(without)
    # What exists with a schedule only goes with it.
    constant = switched(study.space, found.values, [schedule])
    assert "step_size" in found.values
    assert "step_size" not in constant
    assert [one.name for one in study.program(constant).techniques] == ["l2", "batch_size"]
    assert not dropout.used


def test_what_it_does_not_use_is_switched_on_as_in_the_best_trial_that_does(study: Study) -> None:
    found = around(study, 0)
    dropout = found.each[1]
    # Trial 1 is better than trial 2, whose learning rate is too small to learn anything.
    assert (dropout.used, dropout.at, dropout.origin) == (False, {"dropout": 0.1, "dropout_shape": "brick"}, 1)
    assert dropout.note() == (
        "dropout is off in the trial; it is switched on at dropout=0.1 dropout_shape=brick, as in trial"
        " 1, the best one that uses it;"
        " --set chooses other values"
    )
    assert switched(study.space, found.values, [dropout]) == found.values | {"dropout": 0.1, "dropout_shape": "brick"}
    other = around(study, 3)
    schedule = other.each[2]
    stepped = switched(study.space, other.values, [schedule])
    assert (stepped["lr_schedule"], stepped["step_size"], stepped["lr"]) == ("step", 1, 1e-6)
    assert [one.used for one in other.each] == [False, False, False]


def test_the_user_may_say_at_which_values(study: Study) -> None:
    dropout = around(study, 0, {"dropout": 0.7}).each[1]
    assert (dropout.at, dropout.origin) == ({"dropout": 0.7, "dropout_shape": "brick"}, None)
    assert "switched on at dropout=0.7 dropout_shape=brick, as you said" in dropout.note()


def test_several_switches_at_once(study: Study) -> None:
    found = around(study, 0)
    by_name: dict[str, Switch] = {one.technique: one for one in found.each}
    all_ = switched(study.space, found.values, by_name.values())
    assert (all_["l2"], all_["dropout"], all_["lr_schedule"]) == (0.0, 0.1, "constant")


def test_what_a_trial_lacks_has_its_default_or_stays_absent(study: Study) -> None:
    """A hyperparameter without a default is absent where its technique is off; another switch does not need it."""
    own = {"bare": Numeric(low=0.1, high=1.0), "eased": Numeric(default=0.5, low=0.1, high=1.0)}
    space = replace(study.space, declared={**study.space.declared, **own})
    found = around(study, 0)
    changed = switched(space, found.values, found.each[:1])
    assert changed == found.values | {"l2": 0.0, "eased": 0.5}


def test_what_cannot_be_switched_is_said(study: Study) -> None:
    notes = around(study, 0).notes
    assert notes == [
        "max_norm is fixed off in this study, so it is not switched on",
        "batch_size has no neutral value and cannot be switched off",
    ]


@pytest.mark.parametrize(
    ("number", "given", "says"),
    [
        (0, {"dropuot": 0.1}, "unknown hyperparameter 'dropuot': did you mean 'dropout'?"),
        (
            0,
            {"l2": 0.1},
            "--set l2: takes hyperparameters of techniques that are off in the trial (dropout, dropout_shape)",
        ),
        (0, {"dropout": 0.0}, "--set dropout=0.0: that leaves dropout off; give another value"),
        (0, {"dropout": 1.5}, "dropout must be < 1, got 1.5"),
        (0, {"max_norm": 2.0}, "--set max_norm: max_norm is fixed off in this study; give it a range in a new study"),
        (9, {}, "study 'small-wine' has no trial 9: it has 4 trials, numbered from 0"),
    ],
)
def test_wrong_requests_are_one_line(study: Study, number: int, given: dict[str, Any], says: str) -> None:
    with pytest.raises(RequestError) as error:
        around(study, number, given)
    assert says in str(error.value)
    assert "\n" not in str(error.value)


def test_a_study_with_nothing_to_switch(tmp_path: Path) -> None:
    lr = {"lr": {"low": 0.01, "high": 0.02}}
    one = {"trials": 1, "set": TINY, "pruner": {"name": "none"}, "space": lr}
    none = small(tmp_path, name="none", techniques=[], **one).run(observers=())
    with pytest.raises(RequestError, match="study 'none-wine' has no techniques to switch off: run a study with some"):
        around(none, 0)
    shape = small(tmp_path, name="shape", techniques=["batch_size"], **one).run(observers=())
    with pytest.raises(RequestError, match="has no technique that can be switched: batch_size has no neutral value"):
        around(shape, 0)


def test_a_technique_without_hyperparameters_of_its_own(tmp_path: Path) -> None:
    """It is switched by the one that it is named after; where that does not exist, it cannot be switched on."""
    momentum = {"optimizer": "sgd", "lr": 0.01, "momentum": 0.9, "nesterov": True, "weight_decay": 0.01}
    settings = [momentum, {"optimizer": "adam", "lr": 0.01, "weight_decay": 0.01}]
    study = listed(tmp_path, settings, ["momentum", "weight_decay"], name="own").run(observers=())
    with_sgd = around(study, 0)
    assert [(one.technique, one.changes) for one in with_sgd.each] == [
        ("momentum", {"momentum": 0.0}),
        ("weight_decay", {"weight_decay": 0.0}),
    ]
    with_adam = around(study, 1)
    assert [one.technique for one in with_adam.each] == ["weight_decay"]
    assert with_adam.notes == ["momentum cannot be switched on: momentum does not exist in this trial"]
