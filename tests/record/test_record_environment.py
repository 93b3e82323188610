"""Where trials are trained: the first run's environment is the study's, a trial carries its own where it differs."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from optuna.trial import TrialState
from support.small_studies import Crash, Quiet, small

from search.record import environment
from search.record.curves import ENVIRONMENT
from search.tracking.plan import plan_trial


def test_what_is_recorded(tmp_path: Path) -> None:
    study = small(tmp_path).run(1, observers=[Quiet()])
    noted = study.optuna_study.user_attrs[ENVIRONMENT]
    assert list(noted) == ["device", "cpu", "precision", "data", "torch", "optuna", "python"]
    assert noted["device"].startswith("cpu (")
    assert noted["cpu"].startswith(torch.backends.cpu.get_cpu_capability())
    assert noted["data"] == study.data.fingerprint()
    assert noted["torch"] == torch.__version__


def test_trials_carry_the_environment_that_they_were_trained_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A study that moves from one machine to another, twice in the middle of a cohort of four."""

    def on(cpu: str, *, until: int | None = None) -> None:
        monkeypatch.setattr(environment, "cpu", lambda: cpu)
        if until is None:
            small(tmp_path, pruner={"name": "none"}).run(observers=[Quiet()])
            return
        with pytest.raises(Crash):
            small(tmp_path, pruner={"name": "none"}).run(observers=[Quiet(fail_after_told=until)])

    on("first", until=6)  # trials 0 to 5 told
    on("second", until=4)  # 6 and 7 taken up again, 8 and 9 asked
    on("first")  # 10 and 11 taken up again
    study = small(tmp_path, pruner={"name": "none"}).optuna_study
    assert study.user_attrs[ENVIRONMENT]["cpu"] == "first"
    trials = study.get_trials(states=(TrialState.COMPLETE,))
    assert [environment.recorded(study, trial)["cpu"] for trial in trials] == [
        *["first"] * 6,
        *["second"] * 4,
        *["first"] * 2,
    ]
    assert all(ENVIRONMENT not in trial.user_attrs for trial in trials[:6])
    tags = [plan_trial(study.study_name, trial, {}, study.user_attrs[ENVIRONMENT]).tags["cpu"] for trial in trials]
    assert tags == [environment.recorded(study, trial)["cpu"] for trial in trials]


def test_mismatches_are_named_and_bits_follow_from_few_of_them() -> None:
    here = {"device": "cpu (x86_64)", "cpu": "AVX512", "precision": "fp32", "torch": "2.13.0", "python": "3.12.1"}
    assert environment.mismatches(here, here) == []
    assert environment.same_bits(here, here)
    older = here | {"torch": "2.12.0"}
    assert environment.mismatches(older, here) == ["recorded on torch 2.12.0, here 2.13.0"]
    assert not environment.same_bits(older, here)
    assert environment.same_bits(here | {"python": "3.11.0"}, here)
    unknown = {name: value for name, value in here.items() if name != "cpu"}
    assert environment.mismatches(unknown, here) == ["recorded on cpu unknown, here AVX512"]
    assert not environment.same_bits(unknown, here)
    graphics = here | {"device": "cuda (H100)"}
    assert not environment.same_bits(graphics, graphics)
