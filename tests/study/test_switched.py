"""Studies in which techniques are off in some trials: what such a trial costs, and that it is resumed and replayed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from support.small_studies import Crash, Quiet, outcome, small

from search.errors import RequestError
from search.record.curves import CURVES

OFF = {"off": True, "low": 1e-3, "high": 1e-1, "log": True}
JOINT: dict[str, Any] = {
    "techniques": ["l2", "cutmix", "cutout"],
    "space": {"l2": OFF, "lr": {"low": 1e-3, "high": 1e-1, "log": True}},
    "one_of": {"augment": ["cutmix", "cutout", "none"]},
}


def test_a_trial_that_is_off_trains_as_if_the_technique_were_not_there(tmp_path: Path) -> None:
    fields: dict[str, Any] = {"sampler": "grid", "grid_points": 2}
    study = small(tmp_path, space={"l2": OFF}, **fields)
    study.run(observers=[])
    plain = small(tmp_path, storage="plain.db", techniques=[], space={"lr": {"choices": [1e-3]}}, **fields)
    plain.run(observers=[])
    trials, (alone,) = study.optuna_study.trials, plain.optuna_study.trials
    assert [trial.params for trial in trials] == [
        {"use l2": False},
        {"use l2": True, "l2": 1e-3},
        {"use l2": True, "l2": 1e-1},
    ]
    curves = [trial.user_attrs[CURVES] for trial in trials]
    assert curves[0] == alone.user_attrs[CURVES]
    assert curves[1] != curves[0]
    assert study.replay(0).exact
    assert list(study.trials()["l2"].isna()) == [True, False, False]


@pytest.mark.parametrize("sampler", ["tpe", "nsgaii"])
def test_a_joint_study_goes_on_as_if_it_had_not_been_interrupted(tmp_path: Path, sampler: str) -> None:
    whole = small(tmp_path, sampler=sampler, **JOINT)
    whole.run(observers=[])
    cut = small(tmp_path, storage="cut.db", sampler=sampler, **JOINT)
    with pytest.raises(Crash):
        cut.run(observers=[Quiet(fail_after_epochs=20)])
    again = small(tmp_path, storage="cut.db", sampler=sampler, slots=1, **JOINT)
    again.run(observers=[])
    assert outcome(again) == outcome(whole)
    for trial in whole.optuna_study.trials:
        used = {name for name in ("cutmix", "cutout") if name in trial.params}
        assert used == {trial.params["augment"]} - {"none"}
        assert ("cutout_patch" in trial.params) == (trial.params["augment"] == "cutout")
        assert ("l2" in trial.params) == trial.params["use l2"]


def test_a_study_with_off_is_another_study(tmp_path: Path) -> None:
    small(tmp_path).optuna_study  # noqa: B018
    both = {"l2": {"off": True, "low": 1e-6, "high": 1e-1, "log": True}, "lr": {"low": 1e-4, "high": 1e-1, "log": True}}
    with pytest.raises(RequestError, match=r"space l2: 1e-06:0\.1:log there, off,1e-06:0\.1:log here"):
        small(tmp_path, space=both).optuna_study  # noqa: B018
    with pytest.raises(RequestError, match="space g: none there, l2,none here"):
        small(tmp_path, one_of={"g": ["l2", "none"]}).optuna_study  # noqa: B018
