"""Trials trained again: in common packs they are what they are alone, and a failure stops all packs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from support.small_studies import Quiet, small

from search import RequestError, Study
from search.study import retrain as module
from search.study.retrain import Retraining, complete_trial, retrain, retrain_objectives
from search.train.pack import Pack, Slot


@pytest.fixture
def study(tmp_path: Path) -> Study:
    """With two signatures."""
    space = {"l2": {"low": 1e-6, "high": 1e-1, "log": True}, "hidden": {"choices": ["8", "16"]}}
    return small(tmp_path, space=space, trials=4, pruner={"name": "none"}).run(observers=[Quiet()])


def retrainings(study: Study, replicates: range) -> list[Retraining]:
    return [Retraining.of(study, trial.number, trial.params, replicates) for trial in study.optuna_study.trials]


def test_each_network_is_what_it_is_alone(study: Study) -> None:
    all_trials = retrainings(study, range(7, 10))
    networks = {(one.trial, one.replicate): one for one in retrain(all_trials, "again")}
    assert networks.keys() == {(trial.trial, replicate) for trial in all_trials for replicate in range(7, 10)}
    for trial in all_trials:
        alone = Pack(trial.program, study.batches, [Slot(trial.trial, 8, trial.values)])
        best, losses = networks[trial.trial, 8], []
        for _ in range(best.network.epoch):
            losses.append(float(alone.run_epoch()["val_loss"][0]))
        assert best.val_loss == min(losses) == losses[-1]
        for name, weights in best.network.weights(0).items():
            assert torch.equal(weights, alone.weights(0)[name])


def test_a_replicate_that_is_never_finite_has_no_network(study: Study) -> None:
    first, second, *_ = retrainings(study, range(2))
    wild = replace(first, values={**first.values, "lr": 1e30})
    assert {(one.trial, one.replicate) for one in retrain([wild, second], "again")} == {
        (second.trial, 0),
        (second.trial, 1),
    }


@pytest.mark.parametrize("objective", ["val_loss", "val_accuracy"])
@pytest.mark.parametrize("folds", [0, 3])
def test_objectives_again_are_those_of_the_record(tmp_path: Path, objective: str, folds: int) -> None:
    """Also of replicates that a technique has stopped, and at the epoch that a cross-validation takes for all."""
    data = {"dataset": "wine"} | ({"folds": folds} if folds else {})
    lr, patience = {"low": 0.05, "high": 0.5}, {"low": 1, "high": 3}
    study = small(
        tmp_path,
        techniques=["early_stopping"],
        objective=[objective],
        data=data,
        space={"lr": lr, "patience": patience},
        set={"epochs": 12, "hidden": "8", "batch_size": 50},
        trials=4,
        replicates=2,
        pruner={"name": "none"},
    ).run(observers=[Quiet()])
    found = retrain_objectives(retrainings(study, range(study.recipe.networks)), "again")
    for trial in study.optuna_study.trials:
        assert len(found[trial.number]) == study.recipe.networks
        assert found[trial.number].mean() == trial.values[0]
    epochs = {len(one["epoch"].unique()) for _, one in study.curves().groupby("trial")}
    assert min(epochs) < 12  # some were stopped


def test_a_failure_stops_every_pack_after_an_epoch(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    """Here other packs would train for ever."""

    def training(_program: object, _batches: object, slots: list[Slot], _epochs: object) -> Iterator[None]:
        for epoch in iter(int, 1):
            if slots[0].trial == 0 and epoch == 0:
                raise RuntimeError("no memory")
            yield None

    monkeypatch.setattr(module, "best_networks", training)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with pytest.raises(RuntimeError, match="no memory"):
            list(retrain(retrainings(study, range(2)), "again"))
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_a_trial_is_named_by_its_number(study: Study) -> None:
    assert complete_trial(study, 2).number == 2
    assert complete_trial(study, None) == study.best
    with pytest.raises(RequestError, match="has no trial 4: it has 4 trials, numbered from 0"):
        complete_trial(study, 4)
    with pytest.raises(RequestError, match=r"trial 1 lacks hyperparameters .* 'small-wine' searches"):
        Retraining.of(study, 1, {"l2": 0.1}, [0])
