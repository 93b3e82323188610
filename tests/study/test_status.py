"""What a terminal shows of a running study, against a study told by hand."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from optuna.trial import TrialState, create_trial

from search.study.status import Status, sparkline
from search.train.metrics.objective import BUILT_IN


def member(number: int, epoch: int, loss: float, name: str = "val_loss") -> Any:
    return SimpleNamespace(number=number, epoch=epoch, replicates=2, curves={name: np.array([[loss, loss + 0.2]])})


def test_it_tells_the_best_what_trains_and_why_a_trial_was_pruned() -> None:
    finished = [create_trial(value=0.5), create_trial(value=0.75)]
    for number, trial in enumerate(finished):
        trial.number = number
    status = Status(finished, longest=10)
    status.asked([2, 3, 4])
    assert status.lines(1.0) == [
        "best 0.5 (trial 0) ▁▁ over 2 complete trials",
        "2 complete, 0 pruned; training trials 2 to 4 at epoch 0 of 10; 0.0 epochs/s",
    ]
    for epoch, losses in enumerate([(0.9, 1.9, 2.9), (0.4, 1.4, 2.4)], 1):
        status.epoch([member(number, epoch, loss) for number, loss in zip((2, 3, 4), losses, strict=True)])
    status.epoch([member(2, 3, 0.7)])
    assert status.within() == "2 to 3"
    status.told(3, TrialState.PRUNED, None)
    status.told(2, TrialState.COMPLETE, 0.25)
    assert status.lines(0.1) == [
        "best 0.25 (trial 2) ██▁ from 0.5 to 0.25 over 3 complete trials",
        "3 complete, 1 pruned; training trial 4 at epoch 2 of 10; 140 epochs/s",
        "trial 3 was pruned at epoch 2: val_loss 1.5, and the best there has 0.5",
    ]
    assert status.progress == pytest.approx(4.2)
    status.epoch([member(4, 3, float("nan"))])
    status.told(4, TrialState.PRUNED, None)
    assert status.lines(1.0)[-1] == "trial 4 was pruned at epoch 3: val_loss 2.5, and the best there has 0.5"


def test_a_metric_to_be_maximised_is_best_where_it_is_highest() -> None:
    aim = BUILT_IN["val_accuracy"]
    status = Status([], longest=4, aim=aim)
    status.asked([0, 1, 2])
    status.epoch([member(0, 1, 0.7, aim.name), member(1, 1, 0.5, aim.name), member(2, 1, float("nan"), aim.name)])
    status.told(1, TrialState.PRUNED, None)
    assert status.lines(1.0)[-1] == "trial 1 was pruned at epoch 1: val_accuracy 0.6, and the best there has 0.8"
    status.told(2, TrialState.PRUNED, None)
    assert status.lines(1.0)[-1] == "trial 2 was pruned at epoch 1: its val_accuracy never was finite"
    status.told(0, TrialState.COMPLETE, 0.75)
    assert status.best == 0.75


def test_a_sparkline_keeps_the_last_of_equal_stretches() -> None:
    assert sparkline([1.0, 2.0, 3.0], 10) == "▁▅█"
    assert sparkline([float(n) for n in range(100)], 4) == sparkline([24.0, 49.0, 74.0, 99.0], 4) == "▁▃▆█"
    assert sparkline([], 4) == ""
