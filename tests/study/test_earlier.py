"""Searches that begin from earlier studies: what they take, what they leave out, and that they need it only once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState
from support.earlier_studies import LOG, add_trial, earlier_study
from support.small_studies import SMALL, Crash, Quiet, outcome

from search import RequestError, Study, load_study, run
from search.recipe import Recipe
from search.record.curves import CELL, DIVERGED_AT
from search.study import results
from search.study.lookup import recipe_fields

LR = {"low": 1e-4, "high": 1e-1, "log": True}
DROPOUT = {"low": 0.0, "high": 0.8}


def begun(folder: Path, *studies: str, name: str = "new", slots: int | str = "auto", **changes: Any) -> Study:
    """Return a small study of this name in the same storage, which begins from these studies."""
    storage = f"sqlite:///{folder / 'study.db'}"
    options: dict[str, Any] = {"storage": storage, "tracking_uri": None, "device": "cpu", "slots": slots}
    recipe = Recipe.parse(SMALL | changes, "test")
    return Study(recipe, study_name=name, from_studies=list(studies), **options)


def settings(study: Study) -> list[tuple[str, int | None, dict[str, Any]]]:
    return [(one.study, one.trial, dict(one.set)) for one in study.recipe.settings]


def plain(folder: Path, name: str = "old") -> Study:
    """An earlier study of l2 and lr; by its values, its trials rank 2, 4, 3, 0, 1, then 6 and 5, which were stopped."""
    values = [0.5, 0.6, 0.1, 0.3, 0.2]
    trials = [({"l2": 10.0 ** -(at + 2), "lr": 10.0 ** -(at % 2 + 2)}, value) for at, value in enumerate(values)]
    study = earlier_study(folder, name, trials, space={"l2": LOG, "lr": LR})
    stopped = [(0.01, 3), (0.05, 5)]
    for value, epoch in stopped:
        params = {"l2": 1e-5, "lr": 0.05}
        add_trial(study, params, value, TrialState.PRUNED, intermediate_values={epoch: value})
    return study


def test_the_best_settings_and_all_ranks_are_taken(tmp_path: Path) -> None:
    plain(tmp_path)
    study = begun(tmp_path, "old")
    taken = [(2, 1e-4, 0.01), (4, 1e-6, 0.01), (3, 1e-5, 1e-3)]
    assert settings(study) == [("old", number, {"l2": l2, "lr": lr}) for number, l2, lr in taken]
    assert [dict(one.params) for one in study.space.first] == [{"lr": lr, "l2": l2} for _, l2, lr in taken]
    (earlier,) = study.recipe.earlier
    assert earlier.study == "old"
    ranks = {(one.params["l2"], one.params["lr"]): round(one.rank * 7) for one in earlier.trials}
    assert ranks == {
        (1e-4, 0.01): 0,
        (1e-6, 0.01): 1,
        (1e-5, 1e-3): 2,
        (1e-2, 0.01): 3,
        (1e-3, 1e-3): 4,
        (1e-5, 0.05): 6,
    }
    assert [round(one.rank * 7) for one in earlier.trials] == [*range(7)]
    notes = study.notes()
    assert (
        "begins with 3 settings of study old (trial 2: l2=1e-4 lr=0.01; trial 4: l2=1e-6 lr=0.01; trial 3: l2=1e-5"
        " lr=1e-3)"
    ) in notes
    assert any("by the ranks of 7 trials of old, and one at random; to begin without" in note for note in notes)
    random = begun(tmp_path, "old", sampler="random")
    assert settings(random) == settings(study)
    assert random.recipe.earlier[0].trials == ()
    assert any(note.startswith("sampler random takes only settings") for note in random.notes())


def test_what_does_not_fit_is_left_out_and_the_next_best_is_taken(tmp_path: Path) -> None:
    plain(tmp_path)
    study = begun(tmp_path, "old", space={"l2": {"low": 5e-6, "high": 1e-1, "log": True}, "lr": LR})
    assert [number for _, number, _ in settings(study)] == [2, 3, 0]
    assert len(study.recipe.earlier[0].trials) == 6
    notes = "\n".join(study.notes())
    assert "the settings of study old leave out trial 4 (l2=1e-6, outside 5e-06:0.1:log): give wider ranges" in notes
    assert "TPE does not draw by 1 trial of the 7 of study old, outside what is searched" in notes
    # What the search begins with anyway is not taken again.
    enqueued = begun(tmp_path, "old", settings=[{"set": {"l2": 1e-4, "lr": 0.01}}])
    assert [number for _, number, _ in settings(enqueued)] == [None, 4, 3, 0]


def test_infeasible_and_diverged_trials_are_not_taken_before_others(tmp_path: Path) -> None:
    trials = [({"l2": 1e-3}, 0.3), ({"l2": 1e-2}, 0.4)]
    study = earlier_study(tmp_path, "old", trials, constraints=["sparsity > 0.5"])
    add_trial(study, {"l2": 1e-4}, 0.1, user_attrs={DIVERGED_AT: 7})
    violating = study.optuna_study.ask(dict(study.space.searched))
    violating.set_user_attr("ticket", 3)
    violating.set_constraint("sparsity > 0.5", 0.2)
    study.optuna_study.tell(violating, 0.01)
    assert [number for _, number, _ in settings(begun(tmp_path, "old"))] == [0, 1, 2]


def test_several_studies_alternate_and_give_what_they_fix(tmp_path: Path) -> None:
    """One study searches l2 and fixes lr; the other one searches dropout."""
    one = [({"l2": 10.0**-at}, 0.1 * at) for at in range(2, 6)]
    earlier_study(tmp_path, "one", one, set={"lr": 0.02, "hidden": "16"})
    other = [({"dropout": 0.1 * at}, float(at)) for at in range(1, 6)]
    earlier_study(tmp_path, "other", other, techniques=["dropout"], set={"lr": 0.9})
    space = {"l2": LOG, "lr": LR, "hidden": {"choices": ["16", "32"]}}
    study = begun(tmp_path, "one", "other", techniques=["l2", "dropout"], space=space, set={"epochs": 2})
    assert [(name, number) for name, number, _ in settings(study)] == [
        *(("one", 0), ("other", 0), ("one", 1), ("other", 1), ("one", 2), ("other", 2))
    ]
    first, second = study.space.first[:2]
    assert first.params == {"lr": 0.02, "hidden": "16", "l2": 1e-2, "dropout": 0.0}
    # lr 0.9 is outside the range, so lr has its default, as dropout had above; l2 has none in its range.
    assert second.params == {"lr": 1e-3, "dropout": 0.1}
    assert second.drawn == ("hidden", "l2")
    # The prior has what the earlier studies have chosen, and nothing that they fix.
    assert [{*trial.params} for one in study.recipe.earlier for trial in one.trials] == [{"l2"}] * 4 + [{"dropout"}] * 5


def test_what_may_be_off_is_taken_as_it_was(tmp_path: Path) -> None:
    trials = [({"use l2": False}, 0.1), ({"use l2": True, "l2": 1e-3}, 0.2), ({"use l2": True, "l2": 1e-2}, 0.3)]
    earlier_study(tmp_path, "old", trials, space={"l2": {"off": True, **LOG}})
    same = begun(tmp_path, "old", space={"l2": {"off": True, **LOG}})
    assert [dict(one.params) for one in same.space.first] == [params for params, _ in trials]
    assert [dict(one.params) for one in same.recipe.earlier[0].trials] == [params for params, _ in trials]
    always = begun(tmp_path, "old", space={"l2": LOG})
    assert [dict(one.params) for one in always.space.first] == [{"l2": 1e-3}, {"l2": 1e-2}]
    earlier_study(tmp_path, "on", [({"l2": 1e-3}, 0.2)])
    wider = begun(tmp_path, "on", space={"l2": {"off": True, **LOG}})
    assert [dict(one.params) for one in wider.recipe.earlier[0].trials] == [{"use l2": True, "l2": 1e-3}]


def test_the_technique_of_a_group_is_taken_where_the_group_has_it(tmp_path: Path) -> None:
    trials = [({"penalty": "l2", "l2": 1e-3}, 0.1), ({"penalty": "none"}, 0.2), ({"penalty": "l1", "l1": 1e-4}, 0.3)]
    group: dict[str, Any] = {"techniques": ["l1", "l2"], "space": {"l2": LOG, "l1": LOG}}
    earlier_study(tmp_path, "old", trials, one_of={"penalty": ["l1", "l2", "none"]}, **group)
    same = begun(tmp_path, "old", one_of={"penalty": ["none", "l2", "l1"]}, **group)
    assert [dict(one.params) for one in same.space.first] == [params for params, _ in trials]
    assert [dict(one.params) for one in same.recipe.earlier[0].trials] == [params for params, _ in trials]
    fewer = begun(tmp_path, "old", one_of={"penalty": ["l1", "l2"]}, **group)
    assert [number for _, number, _ in settings(fewer)] == [0, 2]
    assert any("leave out trial 1 (penalty=none, outside l1,l2)" in note for note in fewer.notes())


def test_the_front_of_several_objectives_comes_first(tmp_path: Path) -> None:
    values = [[3.0, 3.0], [2.0, 1.0], [1.0, 1.0], [0.0, 3.0]]
    trials = [({"l2": 10.0 ** -(at + 2)}, value) for at, value in enumerate(values)]
    earlier_study(tmp_path, "old", trials, objective=["val_loss", "weight_norm"])
    assert [number for _, number, _ in settings(begun(tmp_path, "old"))] == [3, 2, 1]


def test_a_study_is_the_same_after_a_crash_on_any_width_and_without_the_earlier_one(tmp_path: Path) -> None:
    old = plain(tmp_path)
    whole = begun(tmp_path, "old", name="whole").run(observers=[Quiet()])
    trials = whole.optuna_study.trials
    assert [trial.user_attrs.get(CELL) for trial in trials] == [0, 1, 2, *[None] * 9]
    for folder in ("with", "without"):
        begun(tmp_path, "old", name=folder)
        with pytest.raises(Crash):
            begun(tmp_path, "old", name=folder).run(observers=[Quiet(fail_after_told=2)])
    # The earlier study goes on, and then disappears: the new ones go on with what they have taken.
    add_trial(old, {"l2": 1e-2, "lr": 1e-4}, 0.001)
    again = begun(tmp_path, "old", name="with", slots=2).run(observers=[Quiet()])
    assert outcome(again) == outcome(whole)
    optuna.delete_study(study_name="old", storage=whole.storage)
    gone = begun(tmp_path, "old", name="without", slots=1)
    assert gone.notes()[1:] == whole.notes()[1:]
    assert outcome(gone.run(observers=[Quiet()])) == outcome(whole)
    # Without `from` it is another command; the error says what the study began from.
    with pytest.raises(RequestError, match=r"'whole' exists and differs in from: old \(\w{8}\) there, none here"):
        begun(tmp_path, name="whole").optuna_study  # noqa: B018
    with pytest.raises(RequestError, match="from older: unknown study"):
        begun(tmp_path, "older", name="whole")
    # All that reads a stored study reads this one.
    loaded = load_study("whole", storage=whole.storage, device="cpu")
    assert loaded.recipe == whole.recipe
    assert "old trial 2" in str(results.best(loaded, loaded.optuna_study.trials))
    assert not loaded.replay(4).differences
    # A worker gets the recipe as it is stored, and opens the same study.
    sent = Recipe.parse(recipe_fields(whole.recipe, tmp_path), "whole")
    worker = Study(sent, study_name="whole", storage=whole.storage, tracking_uri=None, device="cpu")
    assert outcome(worker) == outcome(whole)


@pytest.mark.slow
def test_workers_and_the_report_know_such_a_study(tmp_path: Path) -> None:
    plain(tmp_path)
    shared = begun(tmp_path, "old", name="shared").run(workers=2, observers=[Quiet()])
    assert [trial.user_attrs.get(CELL) for trial in shared.optuna_study.trials] == [0, 1, 2, *[None] * 9]
    shared.report(tmp_path / "page", training=False)
    (page,) = (tmp_path / "page").glob("*.html")
    assert "old trial 2" in page.read_text(encoding="utf-8")


def test_the_command_says_what_it_took(in_an_empty_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    earlier_study(in_an_empty_folder, "l2-wine", [({"l2": 1e-3}, 0.2), ({"l2": 1e-2}, 0.3)])
    words = ["l2", "--dataset", "wine", "--space", "lr=1e-4:0.1:log", "--epochs", "1", "--hidden", "8", "--trials", "4"]
    words += ["--storage", "sqlite:///study.db", "--tracking-uri", "none", "--device", "cpu", "--json"]
    again = [*words, "--study-name", "again", "--from", "l2-wine"]
    assert run.main(again) == 0
    out, err = capsys.readouterr()
    taken = [{"trial": 0, "set": {"lr": 0.001, "l2": 1e-3}}, {"trial": 1, "set": {"lr": 0.001, "l2": 1e-2}}]
    assert json.loads(out)["from"] == [{"study": "l2-wine", "settings": taken, "prior": 2}]
    assert "note: begins with 2 settings of study l2-wine (trial 0: lr=1e-3 l2=1e-3; trial 1: " in err
    optuna.delete_study(study_name="l2-wine", storage="sqlite:///study.db")
    # By what it was made from, the earlier study is found in what is stored.
    assert run.main([*again[:-1], "l2-wine"]) == 0
    assert json.loads(capsys.readouterr().out)["trials"] == json.loads(out)["trials"]


@pytest.mark.parametrize(
    ("studies", "changes", "says"),
    [
        (["odl"], {}, "from odl: unknown study 'odl': did you mean 'old'"),
        (["new"], {}, "from new: study 'new' cannot begin from itself: give the new one another --study-name"),
        (["old", "old"], {}, "from old: study 'old' is given twice"),
        (["empty"], {}, "from empty: study 'empty' has no complete trial: run it first"),
        (
            ["other"],
            {},
            "study 'other' searches dropout, and this one searches lr, l2: name a study that searches one of them too",
        ),
        (["old"], {"sampler": "grid"}, "from takes a sampler that draws, such as tpe; a grid trains all"),
        (
            ["old"],
            {"settings": [{"set": {"l2": 1e-3}}], "space": {}},
            "from takes a sampler that draws, such as tpe; a grid trains all",
        ),
        (
            ["old"],
            {"space": {"l2": {"low": 0.09, "high": 0.1}}},
            "from old: nothing can be taken: trial 2 .l2=1e-4, outside 0.09:0.1.: give wider ranges",
        ),
        (["raw"], {}, "from raw: study 'raw' was not made by regsearch"),
    ],
)
def test_what_cannot_be_begun_from(tmp_path: Path, studies: list[str], changes: dict[str, Any], says: str) -> None:
    plain(tmp_path)
    plain(tmp_path, "new")
    earlier_study(tmp_path, "empty", [])
    earlier_study(tmp_path, "other", [({"dropout": 0.1}, 0.1)], techniques=["dropout"])
    optuna.create_study(study_name="raw", storage=f"sqlite:///{tmp_path / 'study.db'}")
    with pytest.raises(RequestError, match=says):
        begun(tmp_path, *studies, **changes)
