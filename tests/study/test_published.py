"""Tests of published figures beside a study's own, with curves written by hand."""

from __future__ import annotations

import json
import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.trial import TrialState, create_trial

from search.recipe import Recipe
from search.recipe.space import Space
from search.record.curves import CELL, CURVES, Curves
from search.record.objectives import Objectives
from search.record.own import TICKET
from search.study import published


def study(settings: list[dict[str, Any]], *trials: tuple[int, TrialState, dict[str, Any]], **fields: Any) -> Any:
    """Return a study as `published` reads it, with trials of (cell, state, metric to replicates x epochs)."""
    original = Recipe.parse({"name": "x", "settings": settings, "watch": ["test"], "set": {"hidden": "64, 64"}}, "test")
    recipe = original.but("test", **fields)
    made = optuna.create_study()
    for ticket, (cell, state, metrics) in enumerate(trials):
        curves = Curves(tuple(metrics), np.array(list(metrics.values()), dtype=np.float32)).encode()
        value = 1.0 if state == TrialState.COMPLETE else None
        made.add_trial(create_trial(state=state, value=value, user_attrs={TICKET: ticket, CELL: cell, CURVES: curves}))
    space = Space.resolve(recipe, [])
    return SimpleNamespace(
        optuna_study=made, recipe=recipe, original=original, space=space, objectives=Objectives(recipe.objective)
    )


# Best epochs by validation loss: 2 for the first replicate, 3 for the second.
VAL = [[3.0, 1.0, 2.0], [3.0, 2.0, 1.0]]


def test_final_figures_are_of_the_last_epoch_and_best_ones_of_each_replicates_best() -> None:
    accuracy = [[0.25, 0.5, 0.75], [0.25, 0.5, 0.25]]
    setting = {"name": "mine", "published": {"final_test_accuracy": 0.9, "best_test_accuracy": 0.9}}
    final, best = published.compare(
        study([setting], (0, TrialState.COMPLETE, {"val_loss": VAL, "test_accuracy": accuracy}))
    )
    # Last epochs: 0.75 and 0.25. Best epochs: 0.5 and 0.25. With two values the SD is |a - b| / sqrt 2.
    assert (final.setting, final.metric, final.theirs, final.ours) == ("mine", "final_test_accuracy", 0.9, 0.5)
    assert final.sd == pytest.approx(0.5 / math.sqrt(2))
    assert best.ours == pytest.approx(0.375)
    assert best.sd == pytest.approx(0.25 / math.sqrt(2))
    # |0.9 - 0.5| < 2 * 0.354 + 0.02, and |0.9 - 0.375| > 2 * 0.177 + 0.02.
    assert (final.agrees, best.agrees) == (True, False)


@pytest.mark.parametrize(
    ("metric", "ours", "theirs", "agrees"),
    [
        # With one replicate there is no SD: the margin is 0.02 for shares and 5% of theirs for anything else.
        ("test_accuracy", [0.5], 0.5195, True),
        ("test_accuracy", [0.5], 0.5205, False),
        ("sparsity", [0.5], 0.4805, True),
        ("train_loss", [0.5], 0.5195, True),
        ("train_loss", [0.5], 0.53, False),
        ("train_loss", [50.0], 52.5, True),
        ("train_loss", [50.0], 47.0, False),
        # The SD of 1 and 3 is sqrt 2, so the margin is 2 * 1.414 + 0.05 * theirs.
        ("train_loss", [1.0, 3.0], 5.0, True),
        ("train_loss", [1.0, 3.0], 5.2, False),
        ("train_loss", [math.nan], 1.0, False),
    ],
)
def test_the_verdict(metric: str, ours: list[float], theirs: float, agrees: bool) -> None:
    setting = {"published": {f"final_{metric}": theirs}}
    metrics = {"val_loss": [[1.0]] * len(ours), metric: [[value] for value in ours]}
    (figure,) = published.compare(study([setting], (0, TrialState.COMPLETE, metrics)))
    assert figure.agrees is agrees
    assert (figure.sd is None) == (len(ours) == 1)


def test_what_was_not_measured_to_the_end_has_no_figure_of_ours() -> None:
    settings = [{"set": {"lr": 0.1 * number}, "published": {"final_train_loss": 1.0}} for number in (1, 2, 3)]
    settings[0]["published"] = {"final_val_rmse": 1.0}
    metrics = {"val_loss": VAL, "train_loss": VAL}
    # The first trial has no such metric, the second was pruned, the third has not been trained.
    made = study(settings, (0, TrialState.COMPLETE, metrics), (1, TrialState.PRUNED, metrics))
    figures = published.compare(made)
    assert [(figure.ours, figure.sd, figure.agrees) for figure in figures] == [(None, None, None)] * 3
    assert "final_val_rmse" in published.render(made)


def test_settings_are_told_apart_by_their_cell_not_by_the_order_of_trials() -> None:
    settings = [{"set": {"lr": 0.1 * number}, "published": {"final_train_loss": 1.0}} for number in (1, 2)]
    losses = [
        (cell, TrialState.COMPLETE, {"val_loss": [[1.0]], "train_loss": [[loss]]}) for cell, loss in ((1, 7), (0, 5))
    ]
    assert [figure.ours for figure in published.compare(study(settings, *losses))] == [5, 7]


def test_the_table_shows_a_dash_for_the_deviation_of_one_replicate_and_labels_as_they_are() -> None:
    setting = {"name": "[bold]x", "published": {"final_train_loss": 1.7e-4}}
    made = study([setting], (0, TrialState.COMPLETE, {"val_loss": [[1.0]], "train_loss": [[1.72e-4]]}))
    (line,) = [line for line in published.render(made).splitlines() if "final_train_loss" in line]
    cells = [cell.strip() for cell in line.strip("│").split("│")]
    assert cells == ["[bold]x", "final_train_loss", "0.00017", "0.000172", "-", "yes"]


def test_json_has_the_same_fields_and_is_json() -> None:
    setting = {"published": {"final_train_loss": 1.0}}
    made = study([setting], (0, TrialState.COMPLETE, {"val_loss": [[1.0]], "train_loss": [[math.inf]]}))
    said = json.loads(json.dumps(published.outcome(made), allow_nan=False))
    assert said == {
        "published": [
            {
                "setting": "as set",
                "metric": "final_train_loss",
                "theirs": 1.0,
                "ours": "inf",
                "sd": None,
                "agrees": False,
            }
        ],
        "differs": [],
    }


def test_a_recipe_without_figures_prints_nothing() -> None:
    made = study([{"set": {"lr": 0.1}}])
    assert published.render(made) == ""
    assert published.outcome(made) == {}


def test_the_settings_that_were_changed_are_named() -> None:
    settings = [{"set": {"lr": 0.1}, "published": {"final_train_loss": 1.0}}]
    changed = study(settings, set={"epochs": 2, "batch_size": 128}, data={"dataset": "wine"}, replicates=3, seed=1)
    # The batch size is the default and the widths are only written differently; seeds and replicates do not count.
    assert published.differences(changed) == ["epochs 2 (published: 100)", "dataset wine (published: digits)"]
    assert "differ from the published ones: epochs 2 (published: 100), dataset wine" in published.render(changed)
    assert "differ" not in published.render(study(settings))
