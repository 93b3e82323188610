"""Early stopping with replicates, packs and pruners: when slots stop, what is recorded then, when trials end."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from optuna.trial import TrialState
from support.packs import adam, make_pack
from support.small_studies import Quiet, outcome, small

from search import Study
from search.data import Data
from search.errors import RequestError
from search.recipe.discovery import discover
from search.record.curves import CURVES, Curves
from search.train.cohort import Cohort
from search.train.member import Member
from search.train.sampling import best_networks

MakeData = Callable[..., Data]
EPOCHS = 12
CHANGES: dict[str, Any] = {
    "techniques": ["early_stopping"],
    "replicates": 3,
    "trials": 8,
    "ask_batch": 8,
    "pruner": {"name": "none"},
    "set": {"epochs": EPOCHS, "hidden": "16", "batch_size": 50, "min_delta": 0.01},
    "space": {
        "patience": {"low": 1, "high": 4},
        "lr": {"low": 1e-3, "high": 1.0, "log": True},
        # Two signatures, so that packs are not equally fast.
        "hidden": {"choices": ["16", "128x128"]},
    },
}


def stops(losses: list[float], patience: int, min_delta: float) -> int:
    """Return the epoch, from 1, at which the rule ends a training with these validation losses."""
    record, bad = math.inf, 0
    for epoch, loss in enumerate(losses, 1):
        if loss < record - min_delta:
            record, bad = loss, 0
        else:
            bad += 1
        if bad == patience:
            return epoch
    return len(losses)


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Study:
    return small(tmp_path_factory.mktemp("wide"), slots=64, **CHANGES).run(observers=[Quiet()])


def curves_of(study: Study) -> dict[int, Curves]:
    trials = study.optuna_study.get_trials(deepcopy=False)
    return {trial.number: Curves.decode(trial.user_attrs[CURVES]) for trial in trials}


def test_each_replicate_is_trained_as_without_until_it_stops_and_then_repeats_itself(
    done: Study, tmp_path: Path
) -> None:
    """Trials stop where the rule, as a plain loop over the curves of trials without the technique, says."""
    trials = done.optuna_study.get_trials(deepcopy=False)
    rows = [{"set": {name: trial.params[name] for name in ("lr", "hidden")}} for trial in trials]
    changes = CHANGES | {"techniques": [], "settings": rows, "set": {"epochs": EPOCHS, "batch_size": 50}, "space": {}}
    plain = curves_of(small(tmp_path, **changes).run(observers=[Quiet()]))
    ends, uneven, early = set(), 0, 0
    for trial, curves in zip(trials, curves_of(done).values(), strict=True):
        whole = plain[trial.number]
        at = [stops(losses.tolist(), trial.params["patience"], 0.01) for losses in whole.of("val_loss")]
        assert curves.epochs == max(at)
        for name in curves.metrics:
            for replicate, epoch in enumerate(at):
                own, expected = curves.of(name)[replicate], whole.of(name)[replicate]
                assert own[:epoch].tolist() == expected[:epoch].tolist()
                assert set(own[epoch:].tolist()) <= {expected[epoch - 1]}
        best = [losses[:epoch].min() for losses, epoch in zip(whole.of("val_loss"), at, strict=True)]
        assert trial.value == np.array(best, dtype=np.float64).mean()
        assert trial.state == TrialState.COMPLETE
        ends.add(max(at))
        early += max(at) < EPOCHS
        uneven += len(set(at)) > 1
    assert len(ends) > 2
    assert early > 2
    assert uneven > 2


@pytest.mark.parametrize(("slots", "threads"), [(2, None), (5, None), (64, 1), (3, 3)])
def test_packs_and_threads_change_no_bit(done: Study, tmp_path: Path, slots: int, threads: int | None) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(threads or before)
    try:
        assert outcome(small(tmp_path, slots=slots, **CHANGES).run(observers=[Quiet()])) == outcome(done)
    finally:
        torch.set_num_threads(before)


def test_a_trial_that_stopped_counts_at_the_rungs_after_it(tmp_path: Path) -> None:
    """Two trials stop before the rung with low losses, so only one of the four that reach it is in the better half."""
    # With min_delta 100 no epoch after the first improves, so these stop at the end of epoch 3.
    early = [{"lr": lr, "patience": 2, "min_delta": 100.0} for lr in (3e-2, 2e-2)]
    late = [{"lr": lr, "patience": 8, "min_delta": 0.0} for lr in (3e-3, 1e-3, 3e-4, 1e-4)]
    changes: dict[str, Any] = CHANGES | {
        "settings": [{"set": row} for row in (*early, *late)],
        "pruner": {"name": "halving", "reduction_factor": 2, "min_epochs": 4},
        "set": {"epochs": 8, "hidden": "16", "batch_size": 50},
        "space": {},
    }
    trials = small(tmp_path, **changes).run(observers=[Quiet()]).optuna_study.trials
    assert [max(trial.intermediate_values) for trial in trials[:2]] == [3, 3]
    assert all(trial.state == TrialState.COMPLETE and trial.value is not None for trial in trials[:2])
    reported = [trial.intermediate_values[4] for trial in trials[2:]]
    assert max(trial.value or math.inf for trial in trials[:2]) < min(reported)
    assert [trial.state for trial in trials[2:]] == [TrialState.COMPLETE, *[TrialState.PRUNED] * 3]


def test_the_best_network_is_from_before_the_stop(make_data: MakeData) -> None:
    """A slot that has stopped gets no better while its pack goes on, although its loss would go on falling."""
    data = make_data(100, 13, 3)
    slots = [adam(1e-2, patience=2, min_delta=100.0), adam(1e-2, patience=math.inf, min_delta=0.0)]
    pack = make_pack(data, slots, techniques=[discover()["early_stopping"]], epochs=6)
    losses = []
    for epoch in range(6):
        losses.append(pack.run_epoch()["val_loss"].tolist())
        assert [slot.trial for slot in pack.stopped] == ([0] if epoch >= 2 else [])
    assert [stopped == going for stopped, going in losses] == [True] * 6
    networks = list(filter(None, best_networks(pack.program, pack.batches, pack.slots)))
    assert [one.pack.epoch for one in networks] == [3, 6]
    assert [one.val_loss for one in networks] == [losses[2][0], losses[5][1]]


def test_a_pack_may_lose_its_last_trial_at_any_moment(make_data: MakeData) -> None:
    """Trials end in the thread that records them, perhaps between two checks of the thread that trains."""

    class Brief(Member):
        looks = 0

        @property
        def ended(self) -> bool:
            self.looks += 1
            return self.looks > 2

        @ended.setter
        def ended(self, value: bool) -> None: ...

    pack = make_pack(make_data(70, 5, 3), [adam()], epochs=5)
    cohort = Cohort([Brief(0, pack.program, adam(), 2)], pack.batches, 8)
    assert list(cohort.advance(5)) == []
    assert not cohort.training


def test_a_patience_beyond_the_end_is_refused(tmp_path: Path) -> None:
    changes = CHANGES | {"space": {"patience": {"low": 1, "high": EPOCHS + 1}}}
    with pytest.raises(RequestError, match=rf"patience must be <= epochs \({EPOCHS}\), got {EPOCHS + 1}"):
        small(tmp_path, **changes)
