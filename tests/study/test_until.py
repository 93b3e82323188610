"""A study with `until` ends early, on any width, after any crash and with workers; it says why, and goes on."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from optuna.trial import TrialState
from support.small_studies import Crash, Quiet, small
from support.small_studies import outcome as whole_outcome

from search import RequestError, run
from search.choose.until import LEAST
from search.compare.contenders import enter
from search.record.own import own_trials
from search.study import results
from search.study.progress import Progress
from search.study.stopped import stopped

RULE: dict[str, Any] = {"trials": 40, "until": 0.1, "replicates": 3, "pruner": {"name": "none"}}
RULE |= {"set": {"epochs": 3, "hidden": "8", "lr": 0.01}, "space": {"l2": {"low": 1e-6, "high": 1e-2, "log": True}}}
WORDS = ["l2", "--dataset", "wine", "--until", "30%", "--epochs", "2", "--hidden", "8", "--pruner", "none"]
WORDS += ["--tracking-uri", "none", "--device", "cpu", "--trials", "32", "--ask-batch", "8", "--json"]


def outcome(study: Any) -> list[Any]:
    """Return the trials; what a study decides depends on how many it has."""
    return whole_outcome(study).trials


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    return outcome(small(tmp_path_factory.mktemp("ended"), **RULE).run(observers=[Quiet()]))


def test_its_trials_are_the_first_ones_of_the_whole_study(tmp_path: Path, ended: list[Any]) -> None:
    assert LEAST <= len(ended) < 40
    whole = outcome(small(tmp_path, **RULE | {"until": None}).run(len(ended) + 4, observers=[Quiet()]))
    assert whole[: len(ended)] == ended
    assert len(whole) == len(ended) + 4


@pytest.mark.parametrize("slots", [1, 5])
def test_the_width_changes_nothing(tmp_path: Path, ended: list[Any], slots: int) -> None:
    assert outcome(small(tmp_path, slots=slots, **RULE).run(observers=[Quiet()])) == ended


def test_a_crash_changes_nothing(tmp_path: Path, ended: list[Any]) -> None:
    with pytest.raises(Crash):
        small(tmp_path, **RULE).run(observers=[Quiet(fail_after_told=2)])
    # Results are written ahead of the observer: on a busy machine all trials may have ended already.
    with suppress(Crash):
        small(tmp_path, **RULE).run(observers=[Quiet(fail_after_told=6)])
    assert outcome(small(tmp_path, **RULE).run(observers=[Quiet()])) == ended


def test_the_same_study_goes_on_without_the_rule(tmp_path: Path, ended: list[Any]) -> None:
    study = small(tmp_path, **RULE).run(observers=[Quiet()])
    how = study.stopped
    assert how is not None
    assert (how.outlook.trials, how.unneeded) == (len(ended), 40 - len(ended))
    assert how.outlook.best == study.best.value  # type: ignore[union-attr]
    assert how.outlook.error is not None
    watcher = Quiet()
    again = small(tmp_path, **RULE).run(observers=[watcher])
    assert (watcher.epochs, again.stopped) == (0, how)
    # The rule is not part of the identity; with the budget spent, the study has not stopped early.
    assert stopped(again, len(ended)) is None
    on = small(tmp_path, **RULE | {"until": None}).run(len(ended) + 4, observers=[Quiet()])
    assert len(on.optuna_study.trials) == len(ended) + 4
    assert on.stopped is None


def test_a_comparison_takes_every_study_to_as_many_trials(tmp_path: Path, ended: list[Any]) -> None:
    small(tmp_path, **RULE).run(observers=[Quiet()])
    small(tmp_path, **RULE | {"name": "other", "seed": 1}).run(4, observers=[Quiet()])
    goal, options = len(ended) + 2, {"tracking_uri": None, "dataset": None, "target": None, "device": "cpu"}
    url = f"sqlite:///{tmp_path / 'study.db'}"
    both = enter(["small-wine", "other-wine"], storage=url, trials=goal, replicates=2, techniques=[], **options)
    assert [len(study.optuna_study.trials) for study in both] == [goal, goal]


@pytest.mark.slow
def test_workers_end_too(tmp_path: Path) -> None:
    study = small(tmp_path, **RULE | {"replicates": 1, "sampler": "random"}).run(workers=2, observers=[Quiet()])
    states = [trial.state for trial in own_trials(study.optuna_study)]
    assert LEAST <= len(states) < 40
    assert set(states) == {TrialState.COMPLETE}
    assert study.stopped is not None


def test_the_bar_is_full_at_the_end(tmp_path: Path, capsys: pytest.CaptureFixture[str], ended: list[Any]) -> None:
    study = small(tmp_path, **RULE)
    with Progress(study.optuna_study, 40, 6, 1, has_stopped=lambda: stopped(study) is not None) as bar:
        study.run(observers=[bar])
    assert f"{len(ended)} of {len(ended)} trials done" in capsys.readouterr().err.splitlines()[-1]


def test_the_outcome_says_why(tmp_path: Path) -> None:
    study = small(tmp_path, **RULE).run(observers=[Quiet()])
    found = results.outcome(study, seconds=1.0)
    told = found["stopped"]
    assert told["bound"] <= told["matters"] == max(0.1 * told["best"], told["standard_error"])
    text = results.render(study, found)
    assert f"stopped after {told['trials']} of 40 trials (--until 10%)" in text
    assert f"{told['unneeded']} trials not needed; to go on, give a smaller --until, or none" in text


@pytest.mark.usefixtures("in_an_empty_folder")
def test_the_command_stops_once(capsys: pytest.CaptureFixture[str]) -> None:
    assert run.main(WORDS) == 0
    first = json.loads(capsys.readouterr().out)
    assert first["stopped"]["trials"] == sum(first["trials"].values()) < 32
    assert run.main(WORDS) == 0
    out, err = capsys.readouterr()
    again = json.loads(out)
    assert (again["epochs"], again["stopped"]) == (0, first["stopped"])
    assert "study l2-wine has stopped before: nothing to train" in err


def test_what_cannot_end_early_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="until: a grid has as many trials as cells"):
        small(tmp_path, sampler="grid", grid_points=4, until="1%").run(observers=[Quiet()])
    assert not list(tmp_path.iterdir())
