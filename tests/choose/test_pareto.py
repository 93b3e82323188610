"""Pruning in Pareto studies, compared with verdicts worked out by hand and with the same study without pruning."""

from __future__ import annotations

import math
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from optuna.trial import FrozenTrial, TrialState
from support.small_studies import Crash, Quiet, outcome, small

from search import RequestError
from search.choose.pareto import ParetoPruner
from search.record.objectives import Objectives, hypervolume
from search.record.own import COHORT, TICKET
from search.study.results import best
from search.train.constant import constant_loss

BOTH = Objectives(("val_loss", "sparsity"))


def pruner(**options: Any) -> ParetoPruner:
    return ParetoPruner(40, **{"min_epochs": None, "objectives": BOTH, "constant": 2.0} | options)


def frozen(
    number: int, loss: float, sparsity: float, *, hoped: float | None = None, cohort: int = 0, ended: bool = False
) -> FrozenTrial:
    """Return a running trial that has reported at epoch 10, or one that ended by itself before."""
    at = {"values": [loss, sparsity], "hoped": [loss, sparsity if hoped is None else hoped]}
    state = TrialState.COMPLETE if ended else TrialState.RUNNING
    return FrozenTrial(
        number,
        state,
        None,
        datetime(2026, 1, 1),
        datetime(2026, 1, 2) if ended else None,
        {},
        {},
        {COHORT: cohort} | ({} if ended else {"rung:10": at}),
        {},
        {},
        number,
        values=[loss, sparsity] if ended else None,
    )


def test_rungs_are_quarters_or_as_far_apart_as_the_first() -> None:
    assert pruner().rungs() == (10, 20, 30)
    assert pruner(min_epochs=15).rungs() == (15, 30)
    assert ParetoPruner(3, min_epochs=None, objectives=BOTH, constant=2.0).rungs() == (1, 2)
    assert ParetoPruner(1, min_epochs=None, objectives=BOTH, constant=2.0).rungs() == ()


def test_a_trial_stops_where_three_others_dominate_it() -> None:
    front = [frozen(number, 0.1 * number, 0.1 * number) for number in range(1, 5)]
    # Trials 1, 2 and 3 dominate trial 5; only 1 and 2 dominate 6; three dominate 7, but its weights are sparser by now.
    mine = [frozen(5, 0.35, 0.05), frozen(6, 0.25, 0.0), frozen(7, 0.35, 0.05, hoped=0.25)]
    expected = {1: True, 2: True, 3: True, 4: True, 5: False, 6: True, 7: True}
    assert pruner().verdicts(front + mine, 0, 10) == expected
    assert pruner().verdicts(mine[::-1] + front[::-1], 0, 10) == expected


def test_peers_are_the_cohort_and_earlier_ones_never_later_ones() -> None:
    better = [frozen(number, 0.1, 0.9, cohort=cohort) for number, cohort in ((0, 0), (1, 1), (2, 2))]
    mine = frozen(3, 0.5, 0.1, cohort=1)
    assert pruner().verdicts([*better, mine], 1, 10)[3]
    ended = frozen(4, 0.1, 0.9, cohort=0, ended=True)
    assert not pruner().verdicts([*better, mine, ended], 1, 10)[3]


@pytest.mark.parametrize("loss", [2.0, 3.0, math.inf, math.nan])
def test_who_is_no_better_than_a_constant_stops_however_sparse(loss: float) -> None:
    assert pruner().verdicts([frozen(0, loss, 1.0), frozen(1, 1.9, 0.0)], 0, 10) == {0: False, 1: True}


def test_optunas_interface_asks_at_the_last_rung() -> None:
    class Study:
        def get_trials(self, deepcopy: bool = True) -> list[FrozenTrial]:
            del deepcopy
            return [mine, *better]

    better = [frozen(number, 0.1, 0.9) for number in range(1, 4)]
    mine = frozen(0, 0.5, 0.1)
    assert pruner().prune(Study(), mine)  # type: ignore[arg-type]
    assert not pruner().prune(Study(), better[0])  # type: ignore[arg-type]


PARETO: dict[str, Any] = {
    "techniques": ["l1_prox"],
    "objective": ["val_loss", "sparsity"],
    "pruner": {"name": "pareto"},
    "space": {"l1_prox": {"low": 1e-6, "high": 1e-1, "log": True}, "lr": {"low": 1e-4, "high": 1e-1, "log": True}},
    "trials": 24,
    "ask_batch": 8,
    "set": {"epochs": 8, "hidden": "16", "batch_size": 50},
}


def attributes(found: Any) -> list[Any]:
    return [{name: at for name, at in t.user_attrs.items() if name.startswith("rung:")} for t in found]


@pytest.mark.parametrize("sampler", ["tpe", pytest.param("nsgaii", marks=pytest.mark.slow)])
def test_width_and_crashes_change_nothing(tmp_path: Path, sampler: str) -> None:
    changes = PARETO | {"sampler": sampler}
    whole = small(tmp_path, storage="whole.db", **changes).run(observers=[Quiet()])
    states = {trial.state for trial in whole.optuna_study.trials}
    assert states == {TrialState.COMPLETE, TrialState.PRUNED}
    narrow = small(tmp_path, storage="narrow.db", slots=3, **changes).run(observers=[Quiet()])
    assert outcome(narrow) == outcome(whole)
    with pytest.raises(Crash):
        small(tmp_path, storage="crash.db", **changes).run(observers=[Quiet(fail_after_epochs=30)])
    for _ in range(2):
        # Results are written ahead of the observer: on a busy machine all trials may have ended already.
        with suppress(Crash):
            small(tmp_path, storage="crash.db", **changes).run(observers=[Quiet(fail_after_told=5)])
    again = small(tmp_path, storage="crash.db", **changes).run(observers=[Quiet()])
    assert outcome(again) == outcome(whole)
    assert attributes(again.optuna_study.trials) == attributes(whole.optuna_study.trials)
    assert [t.number for t in again.front] == [t.number for t in whole.front]


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Save a linear task of 24 features of which 6 matter: with fewer than 6 weights the loss rises."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((400, 24)).astype(np.float32)
    weights = np.zeros(24)
    weights[:6] = [2.0, -1.5, 1.0, -0.75, 0.5, 0.25]
    y = (x @ weights + 0.3 * rng.standard_normal(400)).astype(np.float32)
    folder = tmp_path_factory.mktemp("planted")
    np.savez(folder / "planted.npz", x=x, y=y)
    return folder


@pytest.mark.parametrize(
    ("sampler", "seed"),
    [
        pytest.param(sampler, seed, marks=[] if index == seed == 1 else pytest.mark.slow)
        for index, sampler in enumerate(("grid", "tpe", "nsgaii"))
        for seed in range(3)
    ],
)
def test_the_pruned_front_covers_the_unpruned_one(planted: Path, tmp_path: Path, sampler: str, seed: int) -> None:
    changes = PARETO | {
        "sampler": sampler,
        "seed": seed,
        "trials": 32,
        "data": {"dataset": str(planted / "planted.npz")},
        "set": {"epochs": 24, "hidden": "0", "batch_size": 24},
        "space": {
            "l1_prox": {"low": 1e-4, "high": 1.0, "log": True, "points": 16},
            "lr": {"low": 1e-3, "high": 1e-1, "log": True, "points": 2},
        },
    }
    pruned = small(tmp_path, storage="pruned.db", **changes).run(observers=[Quiet()])
    whole = small(tmp_path, storage="whole.db", **changes | {"pruner": {"name": "none"}}).run(observers=[Quiet()])
    bound = [constant_loss(whole.batches, whole.loss), 0.0]
    volumes = [hypervolume(BOTH.losses([t.values for t in one.front]), bound) for one in (pruned, whole)]
    assert volumes[0] >= 0.95 * volumes[1] > 0
    epochs = [sum(one.trials()["epochs_trained"]) for one in (pruned, whole)]
    assert epochs[0] < 0.85 * epochs[1]
    # The planted point is found: most weights are zero, and the loss is still low.
    best = whole.best
    assert best is not None
    assert any(t.values[1] >= 0.6 and t.values[0] < 2.5 * best.values[0] for t in pruned.front)


def test_the_study_is_read_in_the_users_words(tmp_path: Path) -> None:
    study = small(tmp_path, **PARETO).run(observers=[Quiet()])
    theirs = {trial.number for trial in study.optuna_study.best_trials}
    assert {trial.number for trial in study.front} == theirs
    table = study.trials()
    assert set(table.number[table.front]) == theirs
    complete = table[table.state == "complete"]
    assert (complete.values_val_loss == complete.value).all()
    assert (complete.values_sparsity == complete.best_sparsity).all()
    pruned = table[table.state == "pruned"]
    assert (pruned.value == pruned.best_val_loss).all()
    assert study.best is not None
    assert study.best.number == study.front[0].number == complete.number[complete.value.idxmin()]


def test_where_all_are_pruned_or_the_loss_is_shared_it_is_shown_all_the_same(tmp_path: Path) -> None:
    study = small(tmp_path, **PARETO | {"trials": 2})
    for values in ({"best_val_loss": 0.5, "best_val_accuracy": 0.75}, {"best_val_loss": 0.25}):
        trial = study.optuna_study.ask({"l1_prox": study.space.searched["l1_prox"]})
        trial.set_user_attr("summary", values)
        trial.set_user_attr(TICKET, trial.number)
        study.optuna_study.tell(trial, state=TrialState.PRUNED)
    assert study.best is None
    shown = best(study, study.optuna_study.trials)
    assert {len(row) for row in shown.rows} == {len(shown.headings)}
    assert shown.rows[1][shown.headings.index("val_accuracy")] == "0.75"
    assert "<td" in study._repr_html_()
    for sparsity in (0.5, 0.75):
        trial = study.optuna_study.ask()
        trial.set_user_attr(TICKET, trial.number)
        study.optuna_study.tell(trial, [0.125, sparsity])
    assert study.best is not None
    assert study.best.values == [0.125, 0.75]  # not the other, which it dominates


def test_whoever_reads_a_front_gets_its_lowest_loss(tmp_path: Path) -> None:
    changes = PARETO | {"techniques": ["l1_prox", "dropout"], "trials": 6, "pruner": {"name": "none"}}
    changes |= {"space": PARETO["space"] | {"dropout": {"low": 0.1, "high": 0.5}}}
    study = small(tmp_path, **changes).run(observers=[Quiet()])
    assert study.best is not None
    assert study.uncertainty(passes=2).value == study.best.values[0]
    assert study.export(tmp_path / "a.safetensors").model.meta.trial == study.best.number
    assert study.replay(study.best.number).same
    with pytest.raises(RequestError, match="one-se takes a study of one objective"):
        study.export(tmp_path / "b.safetensors", one_se=True)


def test_other_objectives_are_another_study(tmp_path: Path) -> None:
    small(tmp_path, **PARETO | {"trials": 1}).run(observers=[Quiet()])
    for objective in (["val_loss"], ["val_loss", "weight_norm"]):
        other = small(tmp_path, **PARETO | {"objective": objective, "pruner": {"name": "none"}})
        with pytest.raises(RequestError, match=r"differs in .*objective: val_loss,sparsity there"):
            _ = other.optuna_study


def test_a_front_is_not_extended(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="extend takes a study of one objective"):
        small(tmp_path, **PARETO).run(extend=True)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"objective": ["sparsity"]}, "objective must begin with a metric of predictions"),
        ({"objective": []}, "objective must begin with a metric of predictions"),
        ({"objective": ["val_loss", "val_loss"]}, "names a metric twice"),
        ({"objective": ["val_loss", "sparsitty"]}, "did you mean 'sparsity'"),
        ({"sampler": "cmaes"}, "cmaes takes one objective"),
        ({"pruner": {"name": "median"}}, "pruner median ranks by one objective"),
        ({"objective": ["val_loss"]}, "pruner pareto needs several objectives"),
    ],
)
def test_what_does_not_go_together_is_refused(tmp_path: Path, changes: dict[str, Any], told: str) -> None:
    with pytest.raises(RequestError, match=told):
        small(tmp_path, **PARETO | changes)
