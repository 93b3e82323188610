"""Studies with constraints: what is stored with a trial, which trial is the best, and where violations are named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from optuna.trial import TrialState
from support.small_studies import Crash, Quiet, outcome, small

from search import compare_studies
from search.choose import samplers
from search.errors import RequestError
from search.export.ensemble import candidates
from search.record.curves import CURVES, Curves
from search.report import statements
from search.report.answer import answer
from search.report.record import read
from search.study import results
from search.tracking.plan import plan_trial

# The network of wine, 13 inputs and 3 classes, has 14 h + 3 (h + 1) parameters with h hidden units.
FIELDS: dict[str, Any] = {
    "techniques": [],
    "space": {"hidden": {"choices": ["4", "16"]}, "lr": {"low": 1e-3, "high": 1e-1, "log": True}},
    "constraints": ["parameters < 200", "val_accuracy >= 0.5"],
    "trials": 12,
    "pruner": {"name": "none"},
}
SMALL, LARGE = 14 * 4 + 3 * 5, 14 * 16 + 3 * 17


class Told(Quiet):
    """An observer that keeps the values of the trials."""

    def __init__(self) -> None:
        super().__init__()
        self.values: list[float | None] = []

    def told(self, number: int, state: TrialState, value: float | None) -> None:
        super().told(number, state, value)
        self.values.append(value)


def test_the_best_trial_is_feasible_and_violations_are_named(tmp_path: Path) -> None:
    study = small(tmp_path, **FIELDS)
    study.run(observers=[], decide=False)
    trials = study.optuna_study.trials
    accuracies = {}
    for trial in trials:
        curves = Curves.decode(trial.user_attrs[CURVES])
        epoch = int(curves.of("val_loss")[0].argmin())
        accuracies[trial.number] = float(curves.of("val_accuracy")[0, epoch])
        parameters = SMALL if trial.params["hidden"] == "4" else LARGE
        beyond = {"parameters < 200": parameters / 200 - 1, "val_accuracy >= 0.5": 1 - accuracies[trial.number] / 0.5}
        assert trial.constraints == pytest.approx(beyond)
    feasible = [one for one in trials if one.params["hidden"] == "4" and accuracies[one.number] >= 0.5]
    large = [one.number for one in trials if one.params["hidden"] == "16"]
    assert feasible
    assert large
    best = min(feasible, key=lambda trial: trial.value or np.inf)
    # The large network reaches the better value, so the constraint matters.
    assert min(trials, key=lambda trial: trial.value or np.inf).number in large
    assert study.best is not None
    assert study.best.number == best.number

    table = study.trials().set_index("number")
    assert all(("parameters < 200" in table["violates"][number]) == (number in large) for number in table.index)
    tags = {number: plan_trial("s", trials[number], {}, {}).tags for number in (best.number, large[0])}
    assert "violates" not in tags[best.number]
    assert "parameters < 200" in tags[large[0]]["violates"]
    text = results.render(study, results.outcome(study, seconds=1.0))
    assert f"parameters < 200 is violated by {len(large)} trials of 12: {', '.join(map(str, large))}" in text
    record = read(study)
    assert record.best.number == best.number
    assert answer(record).sentence.startswith(f"Best of {len(feasible)} of 12 complete trials, those that meet")
    assert {one.number for one in candidates(study)} == {one.number for one in feasible}
    (said,) = (one.text for one in statements.summarise(record) if one.about == "constraints")
    assert f"parameters < 200 is violated by {len(large)} trials of 12" in said


def test_it_goes_on_after_an_interruption(tmp_path: Path) -> None:
    whole = small(tmp_path, **FIELDS)
    whole.run(observers=[])
    cut = small(tmp_path, storage="cut.db", **FIELDS)
    with pytest.raises(Crash):
        cut.run(observers=[Quiet(fail_after_told=2)])
    again = small(tmp_path, storage="cut.db", slots=1, **FIELDS)
    again.run(observers=[])
    assert outcome(again) == outcome(whole)
    found, expected = ([one.constraints for one in study.optuna_study.trials] for study in (again, whole))
    assert found == expected


def test_a_study_in_which_no_trial_is_feasible_has_no_best_one(tmp_path: Path) -> None:
    study = small(tmp_path, **FIELDS | {"constraints": ["parameters < 3"], "trials": 4})
    told = Told()
    study.run(observers=[told])
    assert told.values == [None] * 4
    assert study.best is None
    assert "there is no best one" in results.render(study, results.outcome(study, seconds=1.0))
    with pytest.raises(RequestError, match="has no complete trial that meets its constraints"):
        study.export(tmp_path / "model.safetensors")
    (said,) = (one for one in statements.summarise(read(study)) if one.about == "constraints")
    assert said.warning


def test_constraints_are_part_of_a_study_and_its_metrics_are_measured(tmp_path: Path) -> None:
    study = small(tmp_path, constraints=["val_f1 > 0.5"])
    assert study.recipe.metrics == ("val_f1",)
    study.optuna_study  # noqa: B018
    with pytest.raises(RequestError, match=r"differs in constraints: val_f1 > 0\.5 there, none here"):
        small(tmp_path, metrics=["val_f1"]).optuna_study  # noqa: B018
    with pytest.raises(RequestError, match="val_rmse is for regression"):
        small(tmp_path, constraints=["val_rmse < 1"])
    blind = small(tmp_path, constraints=["sparsity > 0.5"], sampler="random")
    assert "sampler random does not search where constraints hold" in samplers.notes(blind.recipe, blind.space)[0]


def test_a_comparison_says_what_was_not_chosen(tmp_path: Path) -> None:
    fields = FIELDS | {"trials": 4, "sampler": "random", "constraints": ["parameters < 200"]}
    one, other = small(tmp_path, **fields), small(tmp_path, storage="other.db", **fields | {"name": "other", "seed": 1})
    for study in (one, other):
        study.run(observers=[])
    notes = compare_studies(one, other, replicates=2).notes
    said = "chosen among the trials that meet its constraints: parameters < 200 is violated"
    assert any(said in note for note in notes)
