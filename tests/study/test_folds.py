"""A study on the folds of a cross-validation: every network of a trial trains on its own fold."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from optuna.trial import TrialState
from support.small_studies import SMALL, Crash, Quiet, outcome, small

from search.data import load_folds
from search.record.curves import CURVES, Curves
from search.study.retrain import Retraining, retrain
from search.train.batches import Batches
from search.train.pack import Pack, Slot

FOLDS: dict[str, Any] = {"data": SMALL["data"] | {"folds": 3, "repeats": 2}}


def curves(trial: Any) -> Curves:
    return Curves.decode(trial.user_attrs[CURVES])


@pytest.mark.parametrize("pruner", ["halving", "none"])
def test_width_and_crashes_change_nothing(tmp_path: Path, pruner: str) -> None:
    changes = FOLDS | {"trials": 8} | {"pruner": SMALL["pruner"] | {"name": pruner}}
    whole = small(tmp_path, storage="whole.db", **changes).run(observers=[Quiet()])
    assert {curves(trial).replicates for trial in whole.optuna_study.trials} == {6}
    with pytest.raises(Crash):
        small(tmp_path, slots=4, **changes).run(observers=[Quiet(fail_after_epochs=9)])
    assert outcome(small(tmp_path, slots=1, **changes).run(observers=[Quiet()])) == outcome(whole)


def test_each_network_is_that_of_its_fold_alone(tmp_path: Path) -> None:
    study = small(tmp_path, **FOLDS, trials=4, replicates=2).run(observers=[Quiet()])
    assert study.recipe.networks == 12
    best = study.best
    assert best is not None
    values = study.space.complete(best.params)
    assert values is not None
    recorded = curves(best)
    folds = load_folds("wine", folds=3, repeats=2)
    for network in (0, 4, 7, 11):
        pack = Pack(study.program(values), Batches(folds[network % 6]), [Slot(0, network, study.numeric(values))])
        for epoch in range(recorded.epochs):
            measured = pack.run_epoch()
            found = [np.float32(measured[name][0]) for name in recorded.metrics]
            assert found == recorded.values[:, network, epoch].tolist()


def test_a_replay_is_the_same_to_the_bit(tmp_path: Path) -> None:
    study = small(tmp_path, **FOLDS, trials=8).run(observers=[Quiet()])
    done = [t.number for t in study.optuna_study.trials if t.state in (TrialState.COMPLETE, TrialState.PRUNED)]
    for number in (done[0], done[-1]):
        assert study.replay(number).same


def test_two_studies_that_differ_in_their_folds_are_two_studies(tmp_path: Path) -> None:
    small(tmp_path, **FOLDS, trials=1).run(observers=[Quiet()])
    with pytest.raises(ValueError, match="folds"):
        small(tmp_path, **FOLDS | {"data": SMALL["data"] | {"folds": 4}}).run(observers=[Quiet()])


@pytest.mark.parametrize("objective", ["val_loss", "val_roc_auc"])
def test_the_value_is_the_best_mean_over_folds(tmp_path: Path, objective: str) -> None:
    """All folds are taken at one epoch, and so are the networks that are trained again."""
    study = small(tmp_path, **FOLDS, trials=4, objective=[objective]).run(observers=[Quiet()])
    best = study.best
    assert best is not None
    means = curves(best).of(objective).astype(np.float64).mean(0)
    epoch = int(means.argmax() if objective == "val_roc_auc" else means.argmin())
    assert best.values == [means[epoch]]
    again = retrain([Retraining.of(study, best.number, best.params, range(6))], "again", log=lambda _line: None)
    found = {one.replicate: one for one in again}
    assert {one.network.epoch for one in found.values()} == {epoch + 1}
    assert [found[fold].objective for fold in range(6)] == curves(best).of(objective)[:, epoch].tolist()
