"""A study follows from its recipe alone: whatever the machine, whatever interrupts it (contracts C3, C5, C7)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from optuna.trial import TrialState
from support.marks import slow
from support.small_studies import SMALL, Crash, Outcome, Quiet, outcome, small

from search import Study
from search.recipe import Recipe
from search.record.own import COHORT


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    study = small(tmp_path_factory.mktemp("whole")).run(observers=[Quiet()])
    return outcome(study)


def test_the_reference_prunes_and_completes(undisturbed: Outcome) -> None:
    states = [trial[1] for trial in undisturbed.trials]
    assert len(states) == 12
    assert {TrialState.PRUNED, TrialState.COMPLETE} == set(states)
    assert undisturbed.decision is not None
    assert len(undisturbed.decision["compared"]) > 1


def test_slots_and_threads_change_no_bit_of_a_study(tmp_path: Path) -> None:
    changes: dict[str, Any] = {"ask_batch": 8, "trials": 16, "replicates": 2}
    wide = outcome(small(tmp_path, storage="16.db", slots=16, **changes).run(observers=[Quiet()]))
    assert len(wide.trials) == 16
    assert sum(trial[1] == TrialState.PRUNED for trial in wide.trials) > 4
    for slots in (5, 2):
        assert outcome(small(tmp_path, storage=f"{slots}.db", slots=slots, **changes).run(observers=[Quiet()])) == wide
    before = torch.get_num_threads()
    torch.set_num_threads(1 if before > 1 else 2)
    try:
        assert outcome(small(tmp_path, storage="threads.db", **changes).run(observers=[Quiet()])) == wide
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("sampler", ["random", "gp", "cmaes", "qmc", "nsgaii", "grid"])
def test_every_sampler_is_reproducible_and_spends_its_budget(tmp_path: Path, sampler: str) -> None:
    changes: dict[str, Any] = {"sampler": sampler, "grid_points": 3, "set": {"epochs": 1, "hidden": "16"}}
    one = outcome(small(tmp_path, storage="one.db", **changes).run(observers=[Quiet()]))
    two = outcome(small(tmp_path, storage="two.db", slots=2, **changes).run(observers=[Quiet()]))
    assert one == two
    assert len(one.trials) == (9 if sampler == "grid" else 12)
    if sampler != "nsgaii":  # whose children may be their parents
        assert len({tuple(trial[0].items()) for trial in one.trials}) == len(one.trials)


@pytest.mark.parametrize("sampler", ["random", *slow("qmc", "grid")])
def test_cohorts_change_nothing_where_no_trial_depends_on_another(tmp_path: Path, sampler: str) -> None:
    """So the default may grow: a study that began with the former one goes on with larger cohorts."""
    fields = SMALL | {"sampler": sampler, "grid_points": 4, "pruner": {"name": "none"}}
    fields |= {"set": {"epochs": 1, "hidden": "16", "batch_size": 50}}
    del fields["ask_batch"]

    def trained(storage: str, trials: int, **given: Any) -> Study:
        recipe = Recipe.parse(fields | {"trials": trials} | given, "test")
        study = Study(recipe, storage=f"sqlite:///{tmp_path / storage}", tracking_uri=None, device="cpu")
        return study.run(trials, observers=[Quiet()], decide=False)

    by_default = trained("default.db", 14)
    assert {trial.user_attrs[COHORT] for trial in by_default.optuna_study.trials} == {0}
    for batch in (8, 64):
        other = trained(f"{batch}.db", 14, ask_batch=batch)
        assert len({trial.user_attrs[COHORT] for trial in other.optuna_study.trials}) == -(-14 // batch)
        assert outcome(other) == outcome(by_default)
    trained("before.db", 5, ask_batch=32)  # what a study had stored by default
    assert outcome(trained("before.db", 14)) == outcome(by_default)


@pytest.mark.parametrize("epochs", [1, 17, *slow(5, 9, 30)])
def test_a_crash_in_training_changes_nothing(tmp_path: Path, undisturbed: Outcome, epochs: int) -> None:
    with pytest.raises(Crash):
        small(tmp_path).run(observers=[Quiet(fail_after_epochs=epochs)])
    assert outcome(small(tmp_path).run(observers=[Quiet()])) == undisturbed


@pytest.mark.parametrize("told", [1, 5, *slow(2, 3, 8)])
def test_a_crash_between_two_results_changes_nothing(tmp_path: Path, undisturbed: Outcome, told: int) -> None:
    with pytest.raises(Crash):
        small(tmp_path).run(observers=[Quiet(fail_after_told=told)])
    # Results are written ahead of the observer, all of them where the machine is busy.
    written = [trial for trial in small(tmp_path).optuna_study.trials if trial.state.is_finished()]
    assert told <= len(written) <= 12
    watcher = Quiet()
    assert outcome(small(tmp_path).run(observers=[watcher])) == undisturbed
    assert len(watcher.told_numbers) == 12 - len(written)


@pytest.mark.parametrize("sampler", ["tpe", "grid", *slow("random", "gp", "cmaes")])
def test_a_crash_in_the_middle_of_an_ask_changes_nothing(
    tmp_path: Path, sampler: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    changes: dict[str, Any] = {"sampler": sampler, "grid_points": 4}
    whole = outcome(small(tmp_path, storage="whole.db", **changes).run(12, observers=[Quiet()]))
    study = small(tmp_path, **changes)
    suggest, asked = study.space.suggest, []

    def sixth_dies(trial: Any) -> Any:
        asked.append(trial)
        if len(asked) == 6:
            trial.suggest_float("lr", 1e-4, 1e-1, log=True)
            raise Crash
        return suggest(trial)

    monkeypatch.setattr(type(study.space), "suggest", lambda _self, trial: sixth_dies(trial))
    with pytest.raises(Crash):
        study.run(12, observers=[Quiet()])
    monkeypatch.undo()
    again = small(tmp_path, **changes).run(12, observers=[Quiet()])
    states = [trial.state for trial in again.optuna_study.trials]
    # What is asked in memory is stored as a whole or not at all; a cell of the grid is asked where it is queued.
    assert states.count(TrialState.FAIL) == (sampler == "grid")
    assert outcome(again) == whole


def test_a_stored_verdict_is_obeyed(tmp_path: Path) -> None:
    """A resumed study does not judge again, even where it would now judge otherwise."""
    study = small(tmp_path)
    with pytest.raises(Crash):
        study.run(observers=[Quiet(fail_after_epochs=3)])
    study.optuna_study.set_user_attr("verdict:0:2", [0, 1, 2])
    trials = small(tmp_path).run(observers=[Quiet()]).optuna_study.trials
    first = [trial.state for trial in trials if trial.user_attrs[COHORT] == 0]
    assert first[:3] == [TrialState.PRUNED] * 3
    assert first[3] == TrialState.COMPLETE


def test_the_budget_is_a_total(tmp_path: Path) -> None:
    study = small(tmp_path).run(4, observers=[Quiet()])
    assert len(study.optuna_study.trials) == 4
    watcher = Quiet()
    small(tmp_path).run(4, observers=[watcher])
    assert watcher.epochs == 0
    assert len(small(tmp_path).run(7, observers=[Quiet()]).optuna_study.trials) == 7
    again = small(tmp_path).run(12, observers=[Quiet()])
    assert [trial.number for trial in again.optuna_study.trials] == list(range(12))


def test_a_timeout_keeps_what_is_in_flight(tmp_path: Path, undisturbed: Outcome) -> None:
    study = small(tmp_path).run(observers=[Quiet()], timeout=1e-3)
    assert {trial.state for trial in study.optuna_study.trials} == {TrialState.RUNNING}
    assert outcome(small(tmp_path).run(observers=[Quiet()])) == undisturbed


@pytest.mark.parametrize("sampler", ["grid", "tpe", *slow("random")])
def test_a_trial_failed_from_outside_is_replaced_and_no_other_repeated(tmp_path: Path, sampler: str) -> None:
    changes: dict[str, Any] = {"sampler": sampler, "grid_points": 3, "trials": 9}
    whole = outcome(small(tmp_path, storage="whole.db", **changes).run(observers=[Quiet()]))
    study = small(tmp_path, **changes)
    with pytest.raises(Crash):
        study.run(observers=[Quiet(fail_after_epochs=3)])
    study.optuna_study.tell(1, state=TrialState.FAIL)
    done = small(tmp_path, **changes).run(observers=[Quiet()]).optuna_study.trials
    asked = [tuple(sorted(t.params.items())) for t in done if t.state != TrialState.FAIL]
    assert len(asked) == len(set(asked)) == 9
    if sampler != "tpe":
        assert set(asked) == {tuple(sorted(trial[0].items())) for trial in whole.trials}
