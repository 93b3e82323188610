"""A trial's program follows from its own values: what is neutral for the trial is not part of its training."""

from __future__ import annotations

import math
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mlflow import MlflowClient
from support.small_studies import Quiet

from search import Study
from search.recipe import Recipe
from search.recipe.discovery import discover, select
from search.recipe.space import Space
from search.record.curves import CURVES, Curves
from search.technique import Numeric, Structural, Technique

TABLE: dict[str, Any] = {
    "name": "mixed",
    "techniques": ["dropout", "l2", "max_norm", "lr_schedule", "consistency"],
    "data": {"dataset": "wine"},
    "set": {"epochs": 3, "hidden": "16", "batch_size": 40, "lr_schedule": "constant", "sigma": 0.1},
    "settings": [
        {"name": "plain"},
        {"name": "dropout", "set": {"dropout": 0.5}},
        {"name": "L2", "set": {"l2": 1e-2}},
        {"name": "max-norm", "set": {"max_norm": 1.0}},
        {"name": "cosine", "set": {"lr_schedule": "cosine"}},
        {"name": "consistency", "set": {"consistency": 2.0}},
        {"name": "decay", "set": {"weight_decay": 1e-2}},
    ],
}


def table(folder: Path, name: str = "study.db", tracking: str | None = None, **changes: Any) -> Study:
    recipe = Recipe.parse(TABLE | changes, "test")
    return Study(recipe, storage=f"sqlite:///{folder / name}", tracking_uri=tracking, device="cpu")


def space(techniques: Sequence[Technique], **fields: Any) -> Space:
    return Space.resolve(Recipe.parse({"name": "x", **fields}, "test"), techniques)


def numbers(found: Space, **params: Any) -> dict[str, float]:
    values = found.complete(params)
    assert values is not None
    return found.numeric(values)


ADAM = {"lr", "beta1", "beta2", "eps"}


def test_a_row_of_a_table_pays_for_its_own_technique_only() -> None:
    recipe = Recipe.load("notebooks/cifar10-regularization")
    techniques = select(recipe.techniques, [])
    found = Space.resolve(recipe, techniques)
    rows = []
    for cell in found.cells():
        numeric, structure = numbers(found, **cell), found.structure(found.complete(cell) or {})
        rows.append(({*numeric} - ADAM, [one.name for one in techniques if one.is_active(numeric, structure)]))
    assert rows == [
        (set(), []),
        ({"bn_alpha"}, ["batch_norm"]),
        ({"dropout"}, ["dropout"]),
        ({"l2"}, ["l2"]),
        ({"max_norm"}, ["max_norm"]),
        ({"l1"}, ["l1"]),
        ({"l1_prox"}, ["l1_prox"]),
        ({"consistency", "sigma"}, ["consistency"]),
    ]


def test_a_searched_value_that_is_neutral_counts_like_a_fixed_one() -> None:
    found = space([discover()["l2"]], space={"l2": {"choices": [0.0, 1e-3]}, "weight_decay": {"choices": [0.0, 0.1]}})
    assert {*numbers(found, l2=0.0, weight_decay=0.0)} == ADAM
    assert {*numbers(found, l2=1e-3, weight_decay=0.0)} == ADAM | {"l2"}
    assert numbers(found, l2=0.0, weight_decay=0.1) == {
        "lr": 1e-3,
        "beta1": 0.9,
        "beta2": 0.999,
        "eps": 1e-8,
        "weight_decay": 0.1,
    }


def test_what_is_left_of_a_technique_in_use_stays() -> None:
    found = space([discover()["augmentation"]], space={"shift": {"low": 0.0, "high": 0.2}}, set={"crop": 0, "noise": 0})
    assert {*numbers(found, shift=0.0)} == ADAM
    assert numbers(found, shift=0.1).items() >= {"shift": 0.1, "flip": 0.0, "crop": 0.0, "noise": 0.0}.items()


def test_a_scheme_keeps_its_numbers() -> None:
    schemes = {"initialization": {"choices": ["default", "xavier_normal"]}, "gain": {"choices": [1.0, 2.0]}}
    found = space([discover()["initialization"]], space=schemes)
    assert "gain" not in numbers(found, initialization="default", gain=1.0)
    assert numbers(found, initialization="xavier_normal", gain=1.0)["gain"] == 1.0
    assert numbers(found, initialization="default", gain=2.0)["gain"] == 2.0


def test_a_number_without_a_neutral_value_does_not_decide() -> None:
    strength, reach = Numeric(neutral=0.0), Numeric(default=3.0)
    found = space([Technique(name="a", hyperparameters={"a": strength, "reach": reach})], set={"a": 0.0, "reach": 5.0})
    assert {*numbers(found)} == ADAM
    alone = space([Technique(name="b", hyperparameters={"reach": reach})])
    assert numbers(alone)["reach"] == 3.0
    switched = Technique(
        name="c",
        hyperparameters={"on": Structural(default=False, choices=(False, True), neutral=False), "reach": reach},
    )
    assert {*numbers(space([switched]))} == ADAM
    assert numbers(space([switched], set={"on": True}))["reach"] == 3.0


def test_momentum_of_zero_has_no_velocity(tmp_path: Path) -> None:
    rates = {"momentum": {"choices": [0.0, 0.9]}}
    study = table(tmp_path, settings=[], techniques=[], set={"optimizer": "sgd"}, space=rates)
    still, moving = (study.space.complete({"momentum": momentum}) for momentum in (0.0, 0.9))
    assert still is not None
    assert moving is not None
    assert study.program(still).numeric == ("lr",)
    assert study.program(moving).numeric == ("lr", "momentum")
    assert study.program(still) is study.program(dict(still)) is not study.program(moving)


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory, empty_mlflow: Path) -> Study:
    folder = tmp_path_factory.mktemp("mixed")
    shutil.copy(empty_mlflow, folder / "mlflow.db")
    return table(folder, tracking=f"sqlite:///{folder / 'mlflow.db'}").run(observers=[Quiet()])


EXTRA = {
    "L2": {"train_objective", "val_objective"},
    "max-norm": {"max_norm_share"},
    "cosine": {"lr"},
    "consistency": {"train_objective"},
}
"""The metrics that only these rows record, by what their techniques add."""


def recorded(study: Study) -> dict[str, Curves]:
    trials = study.optuna_study.trials
    labels = [setting.label for setting in study.recipe.settings]
    return {labels[trial.user_attrs["cell"]]: Curves.decode(trial.user_attrs[CURVES]) for trial in trials}


def test_each_row_records_what_its_own_techniques_measure(mixed: Study) -> None:
    found = recorded(mixed)
    common = set.intersection(*({*curves.metrics} for curves in found.values()))
    assert {name: {*curves.metrics} - common for name, curves in found.items()} == {
        name: EXTRA.get(name, set()) for name in found
    }


@pytest.mark.parametrize("row", TABLE["settings"], ids=lambda row: row["name"])
def test_a_row_is_the_same_in_a_table_of_its_own(row: dict[str, Any], mixed: Study, tmp_path: Path) -> None:
    """A study of this row alone, without the other techniques, gives the same bits."""
    names = [name for name in TABLE["techniques"] if name in {*row.get("set", {}), "lr_schedule"}]
    set_ = {name: value for name, value in TABLE["set"].items() if name != "sigma" or "consistency" in names}
    alone = table(tmp_path, techniques=names, set=set_, settings=[row]).run(observers=[Quiet()])
    ours, theirs = recorded(mixed)[row["name"]], recorded(alone)[row["name"]]
    assert ours.metrics == theirs.metrics
    assert np.array_equal(ours.values, theirs.values)


def test_tables_of_trials_have_a_column_for_every_metric(mixed: Study) -> None:
    curves = mixed.curves().set_index("trial")
    assert curves["max_norm_share"].notna().groupby("trial").all().tolist() == [False] * 3 + [True] + [False] * 3
    assert curves["val_loss"].notna().all()
    trials = mixed.trials()
    assert [math.isfinite(one) for one in trials["final_train_objective"]] == [
        name in ("L2", "consistency") for name in recorded(mixed)
    ]


def test_the_report_draws_rows_with_different_metrics(mixed: Study, tmp_path: Path) -> None:
    page = mixed.report(tmp_path / "report", training=True).page.read_text()
    assert all(row["name"] in page for row in TABLE["settings"])


def test_mlflow_shows_each_row_with_its_own_metrics(mixed: Study) -> None:
    assert mixed.tracking_uri is not None
    client = MlflowClient(mixed.tracking_uri)
    (experiment,) = [one for one in client.search_experiments() if one.name == "regsearch"]
    runs = {run.info.run_name: run for run in client.search_runs([experiment.experiment_id])}
    for number, (name, curves) in enumerate(recorded(mixed).items()):
        run = runs[f"trial-{number} {name}"]
        assert {*run.data.metrics} >= {*curves.metrics}
        assert not {*run.data.metrics} & (set().union(*EXTRA.values()) - {*curves.metrics})
        history = client.get_metric_history(run.info.run_id, "val_loss")
        assert [point.step for point in history] == [1, 2, 3]


def test_every_row_replays_to_the_bit(mixed: Study) -> None:
    for number in range(len(TABLE["settings"])):
        assert mixed.replay(number).same
