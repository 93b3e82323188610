"""What a run is to hold, as a pure function of the record."""

from __future__ import annotations

import math
from datetime import datetime

import numpy as np
import optuna
import pytest
from optuna.distributions import FloatDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial

from search.errors import EnvironmentFault
from search.record import curves as record
from search.show.text import trial_name
from search.tracking.live import Live
from search.tracking.plan import clean_key, live_epochs, params_text, plan_trial


def frozen(values: dict[str, list[list[float]]], **attributes: object) -> FrozenTrial:
    """A complete trial number 0 with these curves: metric -> replicates -> epochs."""
    curves = record.Curves(tuple(values), np.array(list(values.values()), np.float32))
    attributes = {record.CURVES: curves.encode()} | attributes
    space = {"l2": FloatDistribution(1e-6, 1)}
    trial = create_trial(params={"l2": 3.1e-4}, distributions=space, value=1.0, user_attrs=attributes)
    trial.number = 0
    return trial


def points(trial: FrozenTrial) -> dict[tuple[str, int], float]:
    return {(p.key, p.step): p.value for p in plan_trial("s", trial, {}, {}).points()}


def test_gap_and_spread_by_hand() -> None:
    found = points(frozen({"train_loss": [[1, 2], [3, 2]], "val_loss": [[2, 5], [4, 9]]}))
    assert found[("generalization_gap", 1)] == 1
    assert found[("generalization_gap", 2)] == 5
    assert found[("val_loss_sd", 1)] == pytest.approx(math.sqrt(2))
    assert "val_loss_sd" not in {key for key, _ in points(frozen({"val_loss": [[1, 2]]}))}


def test_a_stopped_trial_keeps_the_planned_thinning_and_its_last_epoch() -> None:
    curve = [[float(epoch) for epoch in range(1, 31)]]
    found = points(frozen({"weight_norm": curve, "val_loss": curve}, epochs=241))  # planned 241: every 10th of 25
    assert sorted(step for key, step in found if key == "weight_norm") == [1, 11, 21, 30]
    assert sorted(step for key, step in found if key == "val_loss") == list(range(1, 31))
    assert live_epochs("weight_norm", 241) >= {1, 11, 21, 31}


def test_infinities_are_left_out_and_nan_is_kept() -> None:
    found = points(
        frozen({"val_loss": [[1, math.inf, math.nan]]}, summary={"best": 1, "worst": math.inf, "flag": True})
    )
    assert {key for key in found if key[0] == "val_loss"} == {("val_loss", 1), ("val_loss", 3)}
    assert math.isnan(found[("val_loss", 3)])
    assert found[("best", 0)] == 1
    assert not {"worst", "flag"} & {key for key, _ in found}


def test_status_params_tags_and_times() -> None:
    start, end = datetime(2026, 1, 2, 3, 4, 5), datetime(2026, 1, 2, 3, 5, 6)
    trial = frozen({"val_loss": [[1.0]]}, diverged_at=9)
    trial.datetime_start, trial.datetime_complete = start, end
    for state, status in [("COMPLETE", "FINISHED"), ("PRUNED", "KILLED"), ("FAIL", "FAILED")]:
        trial.state = TrialState[state]
        plan = plan_trial("s", trial, {"seed": 5}, {"device": "cpu"})
        assert plan.status == status
        assert plan.tags["optuna.state"] == state
    assert (plan.start_ms, plan.end_ms) == (start.timestamp() * 1000, end.timestamp() * 1000)
    assert plan.params == {"l2": "0.00031"}
    wanted = {"regsearch.key": "s/0", "seed": "5", "device": "cpu", "diverged_at": "9"}
    assert wanted.items() <= plan.tags.items()


def test_the_digest_follows_the_record_and_not_the_environment() -> None:
    one, other = frozen({"val_loss": [[1.0]]}), frozen({"val_loss": [[2.0]]})
    digest = plan_trial("s", one, {}, {}).digest
    assert plan_trial("s", one, {}, {"device": "cuda"}).digest == digest
    assert plan_trial("s", other, {}, {}).digest != digest


def test_a_record_that_cant_be_read_names_its_trial() -> None:
    trial = frozen({"val_loss": [[1.0]]}, curves={"metrics": ["a"], "shape": [1], "data": ""})
    with pytest.raises(EnvironmentFault, match="trial 0"):
        plan_trial("s", trial, {}, {}).points()


def test_names() -> None:
    params = {"l2": 3.1e-4, "lr": 1e-5, "p": 0.25, "hidden": 128, "optimizer": "sgd", "big": 123456.0, "zero": 0.0}
    text = "trial-12 l2=3.1e-4 lr=1e-5 p=0.25 hidden=128 optimizer=sgd big=1.2e5 zero=0.0"
    assert trial_name(12, params) == text
    assert params_text({"model": {"hidden": [1, 2]}, "x": 1}) == {"model.hidden": "[1, 2]", "x": "1"}
    assert [clean_key(key) for key in ("val_loss", "a=b", "../x", "a//b", ".")] == [
        "val_loss",
        "a_b",
        "___x",
        "a__b",
        "_",
    ]


def test_live_keeps_only_points_that_the_record_keeps_and_passes_over_torn_lines() -> None:
    live = Live()
    for line in [b'{"event": "epo', b"[]", b'{"event": "other"}', b'{"event": "epoch", "trials": [1]}', b"\xff"]:
        live.take(line)
    live.take(b'{"event": "started", "trial": 1, "name": "t", "params": {}, "epochs": 241, "start": 5}')
    for epoch in (1, 2, 11):
        metrics = b'{"weight_norm": [0, 1.5], "val_loss": [0, NaN], "sparsity": [0, Infinity]}'
        line = b'{"event": "epoch", "trials": [7, 1], "epochs": [1, %d], "time": 9, "metrics": %s}'
        live.take(line % (epoch, metrics))
    kept = [(point.key, point.step) for point in live.trials[1].points]
    assert kept == [("weight_norm", 1), ("val_loss", 1), ("val_loss", 2), ("weight_norm", 11), ("val_loss", 11)]
    live.take(b'{"event": "told", "trial": 1}')
    assert (live.trials, live.told) == ({}, {1})


def test_optuna_still_has_naive_local_times() -> None:
    assert optuna.create_study().ask().datetime_start.tzinfo is None  # type: ignore[union-attr]
