"""Studies whose objective is a metric: their values against scikit-learn's, the best epoch, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from optuna.trial import TrialState
from sklearn import metrics as sk
from sklearn.dummy import DummyRegressor
from support.small_studies import Quiet, outcome, small

from search import Metric, Study
from search.errors import RequestError
from search.record.curves import CURVES, SUMMARY, Curves
from search.study.retrain import Retraining, retrain
from search.train.metrics.built_in import METRICS

Reference = Callable[[Any, Any], float]
REFERENCES: dict[str, Reference] = {
    "val_roc_auc": lambda y, p: sk.roc_auc_score(y, p, multi_class="ovr"),
    "val_average_precision": sk.average_precision_score,
    "val_f1": lambda y, p: sk.f1_score(y, p.argmax(1), average="macro"),
    "val_balanced_accuracy": lambda y, p: sk.balanced_accuracy_score(y, p.argmax(1)),
    "val_mcc": lambda y, p: sk.matthews_corrcoef(y, p.argmax(1)),
    "val_brier": sk.brier_score_loss,
    "val_mae": sk.mean_absolute_error,
    "val_r2": sk.r2_score,
    "val_mape": sk.mean_absolute_percentage_error,
}
OF_CLASSES, OF_NUMBERS = list(REFERENCES)[:6], list(REFERENCES)[6:]
MORE: dict[str, Any] = {"replicates": 2, "trials": 8, "seed": 3}


def curves_of(study: Study) -> dict[int, Curves]:
    return {t.number: Curves.decode(t.user_attrs[CURVES]) for t in study.optuna_study.get_trials(deepcopy=False)}


@pytest.fixture(scope="module")
def classes(tmp_path_factory: pytest.TempPathFactory) -> Study:
    changes = MORE | {"objective": ["val_roc_auc"], "metrics": OF_CLASSES[1:]}
    return small(tmp_path_factory.mktemp("classes"), **changes).run(observers=[Quiet()])


@pytest.fixture(scope="module")
def numbers(tmp_path_factory: pytest.TempPathFactory) -> Study:
    changes = MORE | {"objective": ["val_r2"], "metrics": ["val_mae", "val_mape"], "data": {"dataset": "diabetes"}}
    return small(tmp_path_factory.mktemp("numbers"), **changes).run(observers=[Quiet()])


@pytest.fixture(params=["classes", "numbers"])
def study(request: pytest.FixtureRequest) -> Study:
    return request.getfixturevalue(request.param)  # type: ignore[no-any-return]


def test_the_value_is_the_mean_over_replicates_of_the_best_epochs(study: Study) -> None:
    name = study.objectives.names[0]
    complete = [t for t in study.optuna_study.trials if t.state == TrialState.COMPLETE]
    values = {t.number: curves_of(study)[t.number].of(name).max(1).astype(float).mean() for t in complete}
    assert {t.number: t.value for t in complete} == pytest.approx(values, rel=1e-12)
    assert study.optuna_study.directions[0].name == "MAXIMIZE"
    assert study.best is not None
    assert study.best.number == study.optuna_study.best_trial.number == max(values, key=lambda n: (values[n], -n))
    summary = study.best.user_attrs[SUMMARY]
    assert summary[f"best_{name}"] == study.best.value
    best = curves_of(study)[study.best.number].of(name).argmax(1)
    assert summary["best_epoch"] == (best + 1).mean()
    losses = curves_of(study)[study.best.number].of("val_loss")
    assert summary["best_val_loss"] == pytest.approx(losses[[0, 1], best].astype(float).mean(), rel=1e-12)


def test_the_network_of_the_best_epoch_scores_what_scikit_learn_says(study: Study) -> None:
    """The best trial is trained again; its own predictions, in plain torch, are scored by scikit-learn."""
    assert study.best is not None
    curves = curves_of(study)[study.best.number]
    data = study.data
    for one in retrain([Retraining.of(study, study.best.number, study.best.params, range(2))], "", str):
        best = int(curves.of(study.objectives.names[0])[one.replicate].argmax())
        assert one.network.epoch == best + 1
        assert one.objective == curves.of(study.objectives.names[0])[one.replicate, best]
        assert np.float32(one.val_loss) == curves.of("val_loss")[one.replicate, best]
        raw = one.network.predict(study.batches.x_val)[0, :, : data.outputs].double()
        if data.targets is None:
            truth, predicted = data.y_val.numpy(), torch.softmax(raw, -1).numpy()
        else:
            truth, predicted = (data.targets.invert(rows.double()).numpy() for rows in (data.y_val, raw))
        for name in OF_CLASSES if data.targets is None else OF_NUMBERS:
            theirs = REFERENCES[name](truth, predicted)
            assert curves.of(name)[one.replicate, best] == pytest.approx(theirs, rel=1e-6, abs=1e-7), name


def test_a_study_is_the_same_in_packs_of_any_width(classes: Study, tmp_path: Path) -> None:
    changes = MORE | {"objective": ["val_roc_auc"], "metrics": OF_CLASSES[1:]}
    assert outcome(small(tmp_path, slots=1, **changes).run(observers=[Quiet()])) == outcome(classes)


def test_only_what_is_named_is_measured(classes: Study, tmp_path: Path) -> None:
    measured = set(curves_of(small(tmp_path, trials=4).run(observers=[Quiet()]))[0].metrics)
    assert not measured & set(OF_CLASSES)
    assert set(curves_of(classes)[0].metrics) - measured == set(OF_CLASSES)


def test_the_tables_begin_with_the_objective_and_rank_by_it(classes: Study) -> None:
    from search.study import results

    sheet = results.best(classes, classes.optuna_study.trials)
    assert list(sheet.headings[1:4]) == ["val_roc_auc", "val_accuracy", "val_average_precision"]
    complete = [row for row in sheet.rows if row[-1] == "complete"]
    assert [float(row[1]) for row in complete] == sorted((float(row[1]) for row in complete), reverse=True)


@pytest.mark.parametrize("kind", ["classes", "numbers"])
def test_the_result_says_what_a_constant_prediction_reaches(kind: str, request: pytest.FixtureRequest) -> None:
    """The dummies of scikit-learn know the targets that are predicted, as the constant prediction does."""
    from search.study import results

    study = request.getfixturevalue(kind)
    found, truth = results.constants(study), study.data.y_val.numpy()
    if kind == "classes":
        majority = np.bincount(truth).argmax()
        shares = np.bincount(truth) / len(truth)
        assert found["val_accuracy"] == pytest.approx(sk.accuracy_score(truth, np.full(len(truth), majority)))
        dummy = np.tile(shares, (len(truth), 1))
        assert found["val_brier"] == pytest.approx(sk.brier_score_loss(truth, dummy))
        assert found["val_roc_auc"] == 0.5
    else:
        truth = study.data.targets.invert(study.data.y_val.double()).numpy()
        dummy = DummyRegressor().fit(truth, truth)
        assert found["val_rmse"] == pytest.approx(sk.root_mean_squared_error(truth, dummy.predict(truth)), rel=1e-5)
        assert found["val_r2"] == pytest.approx(0, abs=1e-6)
    outcome = results.outcome(study, seconds=1.0)
    line = next(line for line in results.render(study, outcome).splitlines() if "constant prediction" in line)
    assert f"{study.data.metric} {outcome['constant'][study.data.metric]:.4g}" in line


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"objective": ["val_r2"]}, "val_r2 is for regression, and the targets of wine call for classification: val_l"),
        ({"metrics": ["val_mae"]}, "val_mae is for regression"),
        ({"objective": ["val_auc"]}, "unknown objective 'val_auc': did you mean 'val_roc_auc'"),
        ({"metrics": ["val_rocauc"]}, "unknown metric 'val_rocauc': did you mean 'val_roc_auc'"),
        ({"metrics": ["sparsity"]}, "need not name sparsity"),
        ({"objective": ["weight_norm"]}, "must begin with a metric of predictions"),
        ({"objective": ["val_f1"], "data": {"dataset": "diabetes"}}, "val_rmse, val_mae, val_r2, val_mape would work"),
        (
            {"settings": [{"set": {}, "published": {"best_val_f1": 0.5}}], "space": {}, "pruner": {"name": "none"}},
            r"setting 1 publishes best_val_f1, which needs metrics = \['val_f1'\]",
        ),
    ],
)
def test_what_cannot_be_measured_is_refused_before_training(tmp_path: Path, changes: dict[str, Any], told: str) -> None:
    with pytest.raises(RequestError, match=told) as caught:
        small(tmp_path, **changes)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_the_objective_and_the_metrics_are_part_of_the_identity(tmp_path: Path) -> None:
    small(tmp_path, trials=1, objective=["val_f1"]).run(observers=[Quiet()])
    for changes, told in (({}, "objective: val_f1 there, none here"), ({"metrics": ["val_mcc"]}, "metrics: none")):
        with pytest.raises(RequestError, match=told):
            _ = small(tmp_path, **{"trials": 1, **changes}).optuna_study


def test_a_replicate_that_diverges_keeps_its_best_and_one_never_finite_is_infeasible(tmp_path: Path) -> None:
    """A network whose weights are not finite still has an accuracy: the class that argmax gives for NaN."""
    changes = {"objective": ["val_accuracy"], "pruner": {"name": "none"}, "ask_batch": 2, "trials": 2, "space": {}}
    rows = [{"set": {"lr": 1e30}}, {"set": {"lr": 1e-2}}]
    study = small(tmp_path, **changes, settings=rows, set={"epochs": 4, "optimizer": "sgd", "hidden": "8"})
    never, sound = study.run(observers=[Quiet()]).optuna_study.trials
    assert np.isfinite(Curves.decode(never.user_attrs[CURVES]).of("val_accuracy")).all()
    assert never.state == TrialState.PRUNED
    assert never.constraints == {"diverged": 1.0}
    assert "best_epoch" in sound.user_attrs[SUMMARY]
    assert sound.state == TrialState.COMPLETE
    assert study.best is not None
    assert study.best.number == sound.number


def test_several_objectives_begin_with_a_metric(tmp_path: Path) -> None:
    study = small(tmp_path, objective=["val_mcc", "val_brier", "sparsity"], pruner={"name": "pareto"}, trials=8)
    study.run(observers=[Quiet()])
    assert [one.name for one in study.optuna_study.directions] == ["MAXIMIZE", "MINIMIZE", "MAXIMIZE"]
    complete = [t for t in study.optuna_study.trials if t.state == TrialState.COMPLETE]
    curves = curves_of(study)
    for trial in complete:
        best = int(curves[trial.number].of("val_mcc")[0].argmax())
        assert trial.values == [
            pytest.approx(float(curves[trial.number].of(name)[0, best]))
            for name in ("val_mcc", "val_brier", "sparsity")
        ]
    assert {t.number for t in study.front} <= {t.number for t in study.optuna_study.best_trials}


def test_early_stopping_waits_for_the_objective(tmp_path: Path) -> None:
    """Each replicate stops after two epochs in a row whose F1 is not above the best before."""
    changes: dict[str, Any] = {
        "techniques": ["early_stopping"],
        "objective": ["val_f1"],
        "pruner": {"name": "none"},
        "space": {"lr": {"low": 1e-3, "high": 1e-1, "log": True}},
        "set": {"epochs": 30, "hidden": "16", "batch_size": 50, "patience": 2},
        "trials": 4,
    }
    for curves in curves_of(small(tmp_path, **changes).run(observers=[Quiet()])).values():
        best, waited, ends = 0.0, 0, curves.epochs
        for epoch, f1 in enumerate(curves.of("val_f1")[0].tolist(), 1):
            waited = 0 if f1 > best else waited + 1
            best = max(best, f1)
            if waited == 2:
                ends = epoch
                break
        assert curves.epochs == ends


def owned(tmp_path: Path, *metrics: Metric | Path | str, **changes: Any) -> Study:
    fields = {"trials": 4, "set": {"epochs": 4, "hidden": "8"}, "study_name": "s", "dataset": "wine"} | changes
    return Study("l2", storage=f"sqlite:///{tmp_path}/s.db", tracking_uri=None, metrics=metrics, **fields)


def test_an_objective_that_the_rows_do_not_have_is_refused_and_a_metric_noted(tmp_path: Path) -> None:
    """All validation rows are of one class, so there is no ROC curve."""
    rows = ["x,y\n", *(f"{number},{'ab'[number % 2]}\n" for number in range(40))]
    file = tmp_path / "rows.csv"
    file.write_text("".join(rows))
    study = owned(tmp_path, dataset=str(file), target="y")
    one_class = study.data.y_val.clone().fill_(0)
    from dataclasses import replace

    data = replace(study.data, y_val=one_class)
    with pytest.raises(
        RequestError, match=r"val_roc_auc is not defined for the .* rows of rows, because they are all of"
    ):
        owned(tmp_path, dataset=str(file), target="y", objective=["val_roc_auc"], loaded=data)
    noted = owned(tmp_path, "val_roc_auc", dataset=str(file), target="y", loaded=data).notes()
    assert any("val_roc_auc is not defined" in note for note in noted)
    assert set(METRICS) >= {"val_roc_auc"}
