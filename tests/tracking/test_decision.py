"""MLflow's view of a decision: the parent run has the chosen trial and its value on new rows."""

from __future__ import annotations

import pytest
from optuna.trial import TrialState
from support.record_studies import Bench

from search.record import decision as record
from search.record.decision import Decision
from search.show.interval import Interval


def decision(value: Interval | None) -> Decision:
    return Decision(
        finished=2,
        objective="val_loss",
        best=0,
        chosen=1,
        value=value,
        compared={0: 2, 1: 2},
        tied=[0, 1],
        reason="the recipe gives the number of replicates",
    )


def test_the_parent_has_the_chosen_trial_and_its_corrected_value(bench: Bench) -> None:
    for _ in range(2):
        bench.tell(bench.ask(), TrialState.COMPLETE)
    bench.sync()
    parent = bench.runs()[bench.name]
    assert "chosen_trial" not in parent.data.tags
    assert "best_val_loss_corrected" not in parent.data.metrics
    record.note(bench.study, decision(Interval(0.5, 0.25, 0.75)))
    bench.sync()
    parent = bench.runs()[bench.name]
    assert (parent.data.tags["best_trial"], parent.data.tags["chosen_trial"]) == ("0", "1")
    names = ("best_val_loss_corrected", "best_val_loss_corrected_low", "best_val_loss_corrected_high")
    assert [parent.data.metrics[name] for name in names] == [0.5, 0.25, 0.75]
    assert parent.data.metrics["best_value"] == pytest.approx(0.25)


def test_a_decision_without_a_value_has_the_tag_only(bench: Bench) -> None:
    for _ in range(2):
        bench.tell(bench.ask(), TrialState.COMPLETE)
    record.note(bench.study, decision(None))
    bench.sync()
    parent = bench.runs()[bench.name]
    assert parent.data.tags["chosen_trial"] == "1"
    assert not [name for name in parent.data.metrics if "corrected" in name]


def test_a_decision_on_fewer_trials_is_not_shown(bench: Bench) -> None:
    for _ in range(3):
        bench.tell(bench.ask(), TrialState.COMPLETE)
    record.note(bench.study, decision(Interval(0.5, 0.25, 0.75)))
    bench.sync()
    parent = bench.runs()[bench.name]
    assert "chosen_trial" not in parent.data.tags
    assert "best_val_loss_corrected" not in parent.data.metrics
