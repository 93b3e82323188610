"""Small studies that decide: what is stored, what is trained again, and what changes nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from optuna.trial import TrialState
from support.small_studies import SMALL, Crash, Quiet, copy_study, small

from search import Study
from search.decide import gather, yardsticks
from search.decide.decide import decide
from search.decide.race import FIXED
from search.decide.yardsticks import CONSTANT, LINEAR
from search.errors import RequestError
from search.record.contributions import CONTRIBUTIONS, noted
from search.record.decision import DECISION, Decision
from search.report.record import read
from search.report.strength import no_weaker
from search.study import results
from search.study.chosen import decided
from search.study.retrain import complete_trial

TINY: dict[str, Any] = {
    "trials": 8,
    "pruner": SMALL["pruner"] | {"name": "none"},
    "set": {"epochs": 4, "hidden": "8", "batch_size": 50},
}


def searched(folder: Path, **changes: Any) -> Study:
    """Return a small study that has ended its search, and has decided nothing yet."""
    return small(folder, **TINY | changes).run(observers=[Quiet()], decide=False)


def decided_by(study: Study) -> Decision:
    found = decide(study, log=lambda _line: None)
    assert found is not None
    return found


def as_json(decision: Decision) -> Any:
    return json.loads(json.dumps(decision.encode(), allow_nan=False))


def stored(study: Study) -> dict[str, Any]:
    """Return the decision and the contributions as the study has them."""
    attributes = study.optuna_study.user_attrs
    return {key: value for key, value in attributes.items() if key == DECISION or key.startswith(CONTRIBUTIONS)}


def means_of(study: Study, decision: Decision) -> dict[int, float]:
    """Return the mean of each compared trial's stored contributions."""
    kept = {trial: noted(study.optuna_study.user_attrs, trial) for trial in decision.compared}
    return {trial: float(cells.mean()) for trial, cells in kept.items() if cells is not None}


@pytest.fixture
def few_epochs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Train linear models for a few epochs only, where they do not matter."""
    monkeypatch.setattr(yardsticks, "_EPOCHS", (1, 2))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a study that has ended its search."""
    made = tmp_path_factory.mktemp("searched")
    searched(made)
    return made


@pytest.fixture(scope="module")
def done(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Study:
    """Return that study with its decision."""
    own = tmp_path_factory.mktemp("decided")
    copy_study(folder, own)
    study = small(own, **TINY)
    decided_by(study)
    return study


def again(folder: Path, to: Path, **options: Any) -> Study:
    """Return a copy of the study whose search has ended."""
    copy_study(folder, to)
    return small(to, **TINY, **options)


def test_a_run_ends_with_a_decision(tmp_path: Path, done: Study) -> None:
    assert stored(small(tmp_path, **TINY).run(observers=[Quiet()])) == stored(done)


def test_a_run_that_is_not_at_its_budget_decides_nothing(tmp_path: Path) -> None:
    study = small(tmp_path, **TINY | {"trials": 3})
    with pytest.raises(Crash):
        study.run(observers=[Quiet(fail_after_told=1)])
    assert stored(study) == {}


@pytest.mark.usefixtures("few_epochs")
def test_the_stored_decision_is_the_one_that_was_returned(tmp_path: Path, folder: Path) -> None:
    study = again(folder, tmp_path)
    assert decided(study) is None
    decision = decided_by(study)
    attribute = json.loads(json.dumps(study.optuna_study.user_attrs[DECISION], allow_nan=False))
    assert Decision.decode(attribute) == decision == decided(small(tmp_path, **TINY))
    assert as_json(decision) == attribute
    assert attribute["known"] == (len(decision.tied) == 1)


def test_it_says_what_the_record_says(done: Study) -> None:
    decision, record = decided(done), read(done)
    assert decision is not None
    assert (decision.finished, decision.objective, decision.best) == (8, "val_loss", record.best.number)
    assert decision.chosen in decision.tied
    assert set(decision.tied) <= set(decision.compared)
    attributes = done.optuna_study.user_attrs
    for trial, replicates in decision.compared.items():
        cells = noted(attributes, trial)
        assert cells is not None
        assert len(cells) == replicates >= 2
        # The first network is the search's own; without the luck of its best epoch, it has no lower loss.
        assert cells[0].mean() >= record.entries[trial].objective - 1e-6
    epochs = sum(TINY["set"]["epochs"] * count for count in decision.compared.values())
    assert decision.epochs == epochs <= sum(entry.epochs for entry in record.finished)
    means = means_of(done, decision)
    best = min(means, key=lambda trial: means[trial])
    entries = record.entries
    within = [trial for trial in means if means[trial] <= 1.01 * means[best]]
    assert decision.chosen in within
    assert no_weaker(record, entries[decision.chosen], entries[best])
    (of_l2,) = decision.strengths
    strengths = [entries[trial].params["l2"] for trial in decision.tied]
    assert of_l2.low <= min(strengths) <= of_l2.chosen <= max(strengths) <= of_l2.high  # type: ignore[operator]
    assert decision.value is not None
    assert decision.value.low < decision.value.value < decision.value.high
    constant, linear = decision.yardsticks
    assert (constant.name, linear.name) == (CONSTANT, LINEAR)
    shares = np.bincount(done.data.y_train.numpy()) / len(done.data.y_train)
    truth = done.data.y_val.numpy()
    assert constant.value == pytest.approx(-np.log(shares[truth]).mean(), rel=0.05)
    assert linear.gain is not None
    cells = noted(attributes, decision.chosen)
    assert cells is not None
    assert linear.gain.value == pytest.approx(linear.value - cells[:2].mean(), abs=1e-6)


def test_a_second_decision_trains_nothing(done: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    first = decided(done)
    monkeypatch.setattr(gather, "contributions", None)
    assert decide(done) == first


def test_an_interrupted_decision_goes_on(tmp_path: Path, folder: Path, done: Study) -> None:
    """Between its rounds; what was trained before is kept, and the decision is the same."""
    said: list[str] = []

    def log(line: str) -> None:
        said.append(line)
        if sum("to decide between them" in one for one in said) > 1 or "linear models" in line:
            raise Crash

    study = again(folder, tmp_path)
    with pytest.raises(Crash):
        decide(study, log=log)
    kept = stored(study)
    assert kept
    assert DECISION not in kept
    resumed = small(tmp_path, **TINY)
    decided_by(resumed)
    assert stored(resumed) == stored(done)
    for trial in (int(key.removeprefix(CONTRIBUTIONS)) for key in kept):
        before, after = noted(kept, trial), noted(stored(resumed), trial)
        assert before is not None
        assert after is not None
        assert np.array_equal(before, after[: len(before)])


@pytest.mark.parametrize("slots", [1, 16])
def test_the_width_changes_no_bit(tmp_path: Path, folder: Path, done: Study, slots: int) -> None:
    study = again(folder, tmp_path, slots=slots)
    decided_by(study)
    assert stored(study) == stored(done)


@pytest.mark.usefixtures("few_epochs")
def test_the_chosen_trial_is_taken_where_none_is_named(tmp_path: Path, folder: Path) -> None:
    study = again(folder, tmp_path)
    best = study.best
    assert best is not None
    assert complete_trial(study, None).number == best.number
    decision = decided_by(study)
    other = next(trial for trial in decision.compared if trial != best.number)
    study.optuna_study.set_user_attr(DECISION, decision.encode() | {"chosen": other})
    assert complete_trial(study, None).number == other
    assert complete_trial(study, best.number).number == best.number


@pytest.mark.usefixtures("few_epochs")
def test_after_more_trials_it_is_made_anew(tmp_path: Path, folder: Path) -> None:
    study = again(folder, tmp_path)
    decided_by(study)
    before = stored(study)
    study.run(9, observers=[Quiet()], decide=False)
    assert decided(study) is None
    best = study.best
    assert best is not None
    assert complete_trial(study, None).number == best.number
    decision = decided_by(study)
    assert decision.finished == 9
    kept = [key for key in before if key != DECISION and stored(study)[key] == before[key]]
    assert kept  # of a trial whose replicates are as many as before, nothing was trained


def test_text_and_json_show_it(done: Study) -> None:
    decision = decided(done)
    assert decision is not None
    found = results.outcome(done, seconds=1.0)
    assert json.loads(json.dumps(found["decision"], allow_nan=False)) == as_json(decision)
    text = results.render(done, found)
    assert all(sentence in text for sentence in decision.sentences)
    assert f"val_loss of trial {decision.chosen}" in text


@pytest.mark.usefixtures("few_epochs")
def test_folds_decide_by_their_curves(tmp_path: Path) -> None:
    """Nothing is trained for complete trials, but for the linear models."""
    study = searched(tmp_path, data={"dataset": "wine", "folds": 3, "repeats": 2}, trials=3)
    said: list[str] = []
    decision = decide(study, log=said.append)
    assert decision is not None
    assert (decision.epochs, stored(study).keys()) == (0, {DECISION})
    assert set(decision.compared.values()) == {1}
    assert decision.value is not None
    assert not any("to decide between them" in line for line in said)
    assert "6 folds" in decision.sentences[1]


@pytest.mark.usefixtures("few_epochs")
def test_a_metric_that_is_maximised(tmp_path: Path) -> None:
    study = searched(tmp_path, objective=["val_f1"], trials=4)
    decision = decided_by(study)
    assert decision.objective == "val_f1"
    assert decision.value is not None
    assert decision.value.low < decision.value.value < decision.value.high <= 1
    means = means_of(study, decision)
    assert means[decision.chosen] >= 0.99 * max(means.values())


def test_several_objectives_have_no_decision(tmp_path: Path) -> None:
    study = searched(tmp_path, objective=["val_loss", "sparsity"], trials=2)
    assert decide(study) is None
    assert stored(study) == {}


def test_trials_that_all_diverge_have_no_decision(tmp_path: Path) -> None:
    study = searched(tmp_path, space={"lr": {"low": 1e25, "high": 1e30, "log": True}}, trials=2)
    assert {trial.state for trial in study.optuna_study.trials} == {TrialState.PRUNED}
    assert decide(study) is None


@pytest.mark.usefixtures("few_epochs")
def test_trials_that_violate_a_constraint_are_not_compared(tmp_path: Path) -> None:
    """The best trial of the search violates it."""
    (tmp_path / "free").mkdir()
    free = searched(tmp_path / "free", trials=4)
    norms = {entry.number: float(entry.at_best("weight_norm").mean()) for entry in read(free).finished}
    best = free.best
    assert best is not None
    bound = norms[best.number]
    # A bound just on the other side of the best trial's norm.
    words = f"weight_norm < {bound * 0.999:g}" if min(norms.values()) < bound else f"weight_norm > {bound * 1.001:g}"
    study = searched(tmp_path, trials=4, constraints=[words])
    decision = decided_by(study)
    assert best.number not in decision.compared
    violating = {entry.number for entry in read(study).finished if entry.violates}
    assert best.number in violating
    assert not violating & set(decision.compared)


@pytest.mark.usefixtures("few_epochs")
@pytest.mark.parametrize(("replicates", "each"), [(1, 2), (3, 3)])
def test_explicit_replicates_train_no_more(tmp_path: Path, replicates: int, each: int) -> None:
    """One replicate alone tells nothing, so those that are compared have two."""
    study = searched(tmp_path, replicates=replicates, trials=3)
    decision = decided_by(study)
    assert set(decision.compared.values()) == {each}
    assert len(decision.tied) == 1 or decision.reason == FIXED


@pytest.mark.usefixtures("few_epochs")
def test_too_few_validation_rows_have_a_choice_and_no_value(tmp_path: Path) -> None:
    study = searched(tmp_path, data={"dataset": "wine", "val": 0.1}, trials=3)
    assert len(study.data.y_val) < 20
    decision = decided_by(study)
    assert decision.value is None
    assert not any("on new rows" in sentence for sentence in decision.sentences)
    assert Decision.decode(decision.encode()) == decision


def test_without_a_trial_there_is_nothing_to_decide(tmp_path: Path) -> None:
    study = small(tmp_path, **TINY)
    assert decide(study) is None
    with pytest.raises(RequestError, match="no complete trial"):
        complete_trial(study, None)
