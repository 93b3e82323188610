"""Results are written behind the search: in order, each whole, and nobody asks or judges by less than today's truth."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.storages import RDBStorage
from optuna.trial import TrialState
from support.small_studies import Crash, Quiet, outcome, small

from search import EnvironmentFault
from search.choose import asking
from search.choose.asking import Asker
from search.choose.claims import FileClaims
from search.record.curves import CURVES, DIVERGED_AT, SUMMARY, TIMES, Curves
from search.record.recorder import Recorder, Result, Told


class Late(Recorder):
    """A recorder that writes nothing before it must."""

    @contextmanager
    def running(self, told: Told) -> Iterator[None]:
        self._told = told
        yield
        self.drain()
        self.report()


def results(study: optuna.Study) -> list[Result]:
    """Results of four trials: complete, pruned at its last report, late to diverge, and never finite."""
    losses = [[3.0, 2.0], [3.0, 2.5], [3.0, np.inf], [np.nan, np.nan]]
    found = []
    for number, curve in enumerate(losses):
        trial = study.ask()
        curves = Curves(("val_loss",), np.array([[curve]], dtype=np.float32))
        state, violated = TrialState.COMPLETE, {}
        if number == 1:
            trial.report(2.75, 1)
            state = TrialState.PRUNED
        if number == 3:
            trial.report(float("nan"), 1)
            state, violated = TrialState.PRUNED, {"diverged": 1.0}
        value = float(np.where(np.isfinite(curve), curve, np.inf).min())
        found.append(Result(trial, 0, curves, [1, 2], state, [value], violated, rungs=(1, 2)))
    return found


def seen(trials: list[optuna.trial.FrozenTrial]) -> list[tuple[Any, ...]]:
    """What samplers and pruners read of trials."""
    return [
        (
            trial.number,
            trial.state,
            trial.values,
            str(trial.intermediate_values),
            trial.constraints,
            trial.user_attrs.get(DIVERGED_AT),
        )
        for trial in trials
    ]


def test_a_result_counts_at_once_as_it_does_once_it_is_written(tmp_path: Path) -> None:
    storage = RDBStorage(f"sqlite:///{tmp_path}/study.db")
    study = optuna.create_study(storage=storage)
    recorder, told = Recorder(study, storage), []
    with recorder.running(lambda *given: told.append(given)):
        with recorder.pause():
            for result in results(study):
                recorder.add(result)
            foreseen = seen(recorder.trials())
            assert [trial.state for trial in study.get_trials()] == [TrialState.RUNNING] * 4
            assert recorder.unwritten() == {0}
        recorder.drain()
        assert recorder.unwritten() == set()
        assert seen(recorder.trials()) == foreseen == seen(study.get_trials())
    assert foreseen == [
        (0, TrialState.COMPLETE, [2.0], "{}", {}, None),
        (1, TrialState.PRUNED, [2.75], "{1: 2.75}", {}, None),
        (2, TrialState.COMPLETE, [3.0], "{}", {}, 2),
        (3, TrialState.PRUNED, None, "{1: nan}", {"diverged": 1.0}, 1),
    ]
    complete, pruned = TrialState.COMPLETE, TrialState.PRUNED
    assert told == [(0, complete, 2.0), (1, pruned, 2.5), (2, complete, 3.0), (3, pruned, None)]


def test_each_record_is_written_before_its_result_and_the_results_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[tuple[int, str, str]] = []
    attribute, state = RDBStorage.set_trial_user_attr, RDBStorage.set_trial_state_values

    def noted(what: str, trial: int) -> None:
        written.append((trial, what, threading.current_thread().name))

    def set_attribute(self: RDBStorage, trial_id: int, key: str, value: Any) -> None:
        noted(key, trial_id)
        attribute(self, trial_id, key, value)

    def set_state(self: RDBStorage, trial_id: int, state_: TrialState, values: Any = None) -> bool:
        noted(state_.name, trial_id)
        return state(self, trial_id, state_, values)

    monkeypatch.setattr(RDBStorage, "set_trial_user_attr", set_attribute)
    monkeypatch.setattr(
        RDBStorage,
        "set_trial_state_values",
        lambda self, trial_id, state, values: set_state(self, trial_id, state, values),
    )
    watcher = Quiet()
    trials = small(tmp_path, pruner={"name": "none"}).run(observers=[watcher]).optuna_study.trials
    assert [(trial, what) for trial, what, _ in written] == [
        (trial, what) for trial in range(1, 13) for what in (SUMMARY, CURVES, TIMES, "COMPLETE")
    ]
    assert [trial.state for trial in trials] == [TrialState.COMPLETE] * 12
    assert watcher.told_numbers == list(range(12))
    assert "recorder" in {thread for *_, thread in written}


@pytest.mark.parametrize("sampler", ["tpe", "cmaes", "qmc"])
def test_however_late_results_are_written_the_study_is_the_same(
    tmp_path: Path, sampler: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    undisturbed = outcome(small(tmp_path, storage="whole.db", sampler=sampler).run(observers=[Quiet()]))
    assert {trial[1] for trial in undisturbed.trials} == {TrialState.PRUNED, TrialState.COMPLETE}
    monkeypatch.setattr(asking, "Recorder", Late)
    watcher = Quiet()
    assert outcome(small(tmp_path, sampler=sampler).run(observers=[watcher])) == undisturbed
    assert sorted(watcher.told_numbers) == list(range(12))


def test_what_dies_with_its_process_is_trained_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    undisturbed = outcome(small(tmp_path, storage="whole.db").run(observers=[Quiet()]))
    with monkeypatch.context() as patched:
        patched.setattr(asking, "Recorder", Late)
        with pytest.raises(Crash):
            small(tmp_path).run(observers=[Quiet(fail_after_epochs=50)])
    trials = small(tmp_path).optuna_study.trials
    assert [trial.state for trial in trials] == [TrialState.RUNNING] * 12, "asked with what was never written"
    watcher = Quiet()
    assert outcome(small(tmp_path).run(observers=[watcher])) == undisturbed
    assert sorted(watcher.told_numbers) == list(range(12))


@pytest.mark.parametrize("count", [2, 12])
def test_a_fault_of_the_database_in_the_thread_ends_the_run(
    tmp_path: Path, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the middle of the study, and at its last result."""
    undisturbed = outcome(small(tmp_path, storage="whole.db").run(observers=[Quiet()]))
    state, told = RDBStorage.set_trial_state_values, []

    def full(self: RDBStorage, trial_id: int, **given: Any) -> bool:
        told.append(trial_id)
        if len(told) >= count:
            raise sqlite3.OperationalError("database or disk is full")
        return state(self, trial_id, **given)

    watcher = Quiet()
    with monkeypatch.context() as patched:
        patched.setattr(RDBStorage, "set_trial_state_values", full)
        with pytest.raises(EnvironmentFault, match="failed: database or disk is full"):
            small(tmp_path).run(observers=[watcher])
    assert len(told) == count, "nothing is written after a fault"
    assert len(watcher.told_numbers) == count - 1
    assert [thread for thread in threading.enumerate() if thread.name == "recorder"] == []
    assert outcome(small(tmp_path).run(observers=[Quiet()])) == undisturbed


def test_a_cohort_is_claimed_until_its_results_are_written(tmp_path: Path) -> None:
    study = small(tmp_path, pruner={"name": "none"})
    opened, url = study.optuna_study, f"sqlite:///{tmp_path}/study.db"
    assert study.backend is not None
    mine, other = FileClaims(url, "one"), FileClaims(url, "one")
    asker = Asker(opened, study.backend, study.recipe, study.space, 12, mine)
    first = asker.next_cohort()
    assert first is not None
    curves = Curves(("val_loss",), np.ones((1, 1, 1), dtype=np.float32))
    for one in first[1]:
        asker.recorder.add(Result(one.trial, 0, curves, [1], TrialState.COMPLETE, [1.0]))
    seen = asker.recorder.trials()
    second = asker.next_cohort()
    assert second is not None
    assert second[0] == 1
    assert [trial.state for trial in opened.trials] == [TrialState.RUNNING] * 8
    with other.turn():
        assert not other.take(0)
    for _ in range(2):  # before and after the results are written, the curves of the trials as they were seen
        assert {asker.recorder.curves(trial.number).values.item() for trial in seen if trial.state.is_finished()} == {1}
        asker.recorder.drain()
    with asker.turn():
        pass
    with other.turn():
        assert other.take(0)
    mine.release()
    other.release()


def test_who_shares_a_study_sees_all_that_an_ask_has_seen(tmp_path: Path) -> None:
    study = small(tmp_path, pruner={"name": "none"})
    url = f"sqlite:///{tmp_path}/study.db"
    opened = study.optuna_study
    assert study.backend is not None
    claims = [FileClaims(url, "one"), FileClaims(url, "one")]
    mine, other = (Asker(opened, study.backend, study.recipe, study.space, 12, claim) for claim in claims)
    first, others = mine.next_cohort(), other.next_cohort()
    assert first is not None
    assert others is not None
    curves = Curves(("val_loss",), np.ones((1, 1, 1), dtype=np.float32))
    for one in first[1]:
        mine.recorder.add(Result(one.trial, 0, curves, [1], TrialState.COMPLETE, [1.0]))
    assert mine.next_cohort() is not None
    states = [trial.state for trial in opened.trials]
    assert states == [TrialState.COMPLETE] * 4 + [TrialState.RUNNING] * 8
    for claim in claims:
        claim.release()
