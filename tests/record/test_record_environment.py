"""The environment of the first run is recorded with the study, one that differs from it with the trial."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from optuna.trial import TrialState
from support.small_studies import Crash, Quiet, small

from search import Study
from search.record import environment
from search.record.curves import ENVIRONMENT
from search.tracking.plan import plan_trial
from search.train.member import Member


def test_what_is_recorded(tmp_path: Path) -> None:
    study = small(tmp_path).run(1, observers=[Quiet()])
    noted = study.optuna_study.user_attrs[ENVIRONMENT]
    assert list(noted) == ["device", "cpu", "precision", "data", "torch", "engine", "optuna", "python"]
    assert noted["device"].startswith("cpu (")
    assert noted["cpu"].startswith(torch.backends.cpu.get_cpu_capability())
    assert noted["data"] == study.data.fingerprint()
    assert noted["torch"] == torch.__version__


def test_trials_carry_the_environment_that_they_were_trained_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The study moves to another machine twice, each time while a cohort of four trials trains."""

    class Dies(Quiet):
        def epoch(self, members: Sequence[Member]) -> None:
            if len(self.told_numbers) >= 4:
                raise Crash
            time.sleep(0.03)  # results are written while the next cohort trains, which takes longer than writing
            super().epoch(members)

    def study_on(cpu: str) -> Study:
        monkeypatch.setattr(environment, "cpu", lambda: cpu)
        return small(tmp_path, pruner={"name": "none"}, trials=16)

    def finished() -> set[int]:
        states = {trial.number: trial.state for trial in study_on("anywhere").optuna_study.trials}
        assert TrialState.RUNNING in states.values(), "some are adopted"
        return {number for number, state in states.items() if state.is_finished()}

    with pytest.raises(Crash):
        study_on("first").run(observers=[Dies()])
    before = finished()
    with pytest.raises(Crash):
        study_on("second").run(observers=[Dies()])
    there = finished() - before
    assert len(before) >= 4
    assert len(there) >= 4
    study = study_on("first").run(observers=[Quiet()]).optuna_study
    assert study.user_attrs[ENVIRONMENT]["cpu"] == "first"
    trials = study.get_trials(states=(TrialState.COMPLETE,))
    assert len(trials) == 16
    for trial in trials:
        where = "second" if trial.number in there else "first"
        assert environment.recorded(study, trial)["cpu"] == where
    assert all(ENVIRONMENT not in trial.user_attrs for trial in trials if trial.number in before)
    tags = [plan_trial(study.study_name, trial, {}, study.user_attrs[ENVIRONMENT]).tags["cpu"] for trial in trials]
    assert tags == [environment.recorded(study, trial)["cpu"] for trial in trials]


def test_mismatches_are_named_and_bits_follow_from_few_of_them() -> None:
    here = {"device": "cpu (x86_64)", "cpu": "AVX512", "precision": "fp32", "torch": "2.13.0"}
    here |= {"engine": "compiled (numba 0.68.1)", "python": "3.12.1"}
    assert environment.mismatches(here, here) == []
    assert environment.same_bits(here, here)
    older = here | {"torch": "2.12.0"}
    assert environment.mismatches(older, here) == ["recorded on torch 2.12.0, here 2.13.0"]
    assert not environment.same_bits(older, here)
    assert environment.same_bits(here | {"python": "3.11.0"}, here)
    assert not environment.same_bits(here | {"engine": "compiled (numba 0.62.0)"}, here)
    unknown = {name: value for name, value in here.items() if name != "cpu"}
    assert environment.mismatches(unknown, here) == ["recorded on cpu unknown, here AVX512"]
    assert not environment.same_bits(unknown, here)
    graphics = here | {"device": "cuda (H100)"}
    assert not environment.same_bits(graphics, graphics)
