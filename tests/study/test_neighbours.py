"""A study among programs that use plain Optuna on its storage: what they add is learnt from, and breaks nothing."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial
from support.small_studies import SMALL, Crash, Quiet, copy_study, outcome, small

from search import RequestError, Study
from search.record.curves import CURVES, REFUSED
from search.record.own import is_own

BOTH = {"l2": 1e-3, "lr": 1e-2}
RANGES = {"l2": FloatDistribution(1e-6, 1e-1, log=True), "lr": FloatDistribution(1e-4, 1e-1, log=True)}


def plain(study: Study) -> optuna.Study:
    """The same study as another program sees it."""
    return optuna.load_study(study_name=study.name, storage=study.storage)


def run(study: Study, trials: int) -> Study:
    return study.run(trials, observers=[Quiet()])


def add_complete(study: optuna.Study) -> None:
    study.add_trial(create_trial(params=BOTH, distributions=RANGES, value=0.5))


def add_other_parameters(study: optuna.Study) -> None:
    other = {"depth": CategoricalDistribution(["a", "b"])}
    study.add_trial(create_trial(params={"depth": "a"}, distributions=other, value=0.01))


def add_more_parameters(study: optuna.Study) -> None:
    more = {"depth": CategoricalDistribution(["a", "b"])}
    study.add_trial(create_trial(params=BOTH | {"depth": "a"}, distributions=RANGES | more, value=0.01))


def add_out_of_range(study: optuna.Study) -> None:
    wide = {name: FloatDistribution(1e-9, 1e9, log=True) for name in BOTH}
    study.add_trial(create_trial(params=BOTH | {"l2": 1e5}, distributions=wide, value=0.01))


def add_failed(study: optuna.Study) -> None:
    study.add_trial(create_trial(state=TrialState.FAIL))


def add_pruned(study: optuna.Study) -> None:
    pruned = create_trial(
        state=TrialState.PRUNED, params=BOTH, distributions=RANGES, intermediate_values={1: 0.1, 3: 0.05}
    )
    study.add_trial(pruned)


def ask_and_tell(study: optuna.Study) -> None:
    study.tell(study.ask(RANGES), 0.02)


def ask_only(study: optuna.Study) -> None:
    study.ask(RANGES)


@pytest.fixture(scope="module")
def four_trials(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a study of four trials, to be copied."""
    folder = tmp_path_factory.mktemp("four")
    run(small(folder), 4)
    return folder


@pytest.mark.parametrize(
    "add",
    [
        add_complete,
        add_other_parameters,
        add_more_parameters,
        add_out_of_range,
        add_failed,
        add_pruned,
        ask_and_tell,
        ask_only,
    ],
)
def test_what_another_program_adds_breaks_nothing(
    tmp_path: Path, four_trials: Path, add: Callable[[optuna.Study], None]
) -> None:
    copy_study(four_trials, tmp_path)
    run_among_others(tmp_path, add)


@pytest.mark.parametrize("sampler", ["grid", "qmc"])
def test_samplers_that_ask_in_the_storage_take_no_trial_of_others_for_theirs(tmp_path: Path, sampler: str) -> None:
    changes = {"sampler": sampler, "grid_points": 3} if sampler == "grid" else {"sampler": sampler}
    run(small(tmp_path, **changes), 4)
    run_among_others(tmp_path, ask_only, **changes)


def run_among_others(tmp_path: Path, add: Callable[[optuna.Study], None], **changes: Any) -> None:
    """Let another program add to a study of four trials, and run it to eight."""
    study = small(tmp_path, **changes)
    undisturbed = list(outcome(study).trials)
    assert len(undisturbed) == 4
    add(plain(study))
    theirs = plain(study).trials[4]
    found = outcome_of_own(study)
    assert found == undisturbed
    run(small(tmp_path, **changes), 8)
    trials = plain(study).trials
    assert [trial for trial in trials if not is_own(trial)] == [theirs], "it stays as it was"
    assert outcome_of_own(study)[:4] == found, "and so do ours"
    own = [trial for trial in trials if is_own(trial)]
    assert len(own) == 8
    assert all(CURVES in trial.user_attrs for trial in own)
    assert study.best is not None
    assert is_own(study.best)
    assert len(study.trials()) == len(study.curves()["trial"].unique()) == 8


def outcome_of_own(study: Study) -> list[object]:
    return [row for row, trial in zip(outcome(study).trials, not_failed(study), strict=True) if is_own(trial)]


def not_failed(study: Study) -> list[FrozenTrial]:
    return [trial for trial in study.optuna_study.trials if trial.state != TrialState.FAIL]


def test_the_sampler_learns_from_it(tmp_path: Path) -> None:
    """With forty trials that say where the best l2 is, TPE asks there."""
    study = small(tmp_path, ask_batch=4, space={"l2": {"low": 1e-6, "high": 1e-1, "log": True}})
    told = plain_study_of(study)
    for number in range(40):
        l2 = 10 ** (-6 + 5 * number / 39)
        trial = create_trial(params={"l2": l2}, distributions={"l2": RANGES["l2"]}, value=abs(number - 35) / 10 - 100)
        told.add_trial(trial)
    run(study, 8)
    asked = [trial.params["l2"] for trial in plain(study).trials if is_own(trial)]
    assert sum(value > 1e-3 for value in asked) >= 6


def plain_study_of(study: Study) -> optuna.Study:
    assert study.optuna_study is not None  # it is created
    return plain(study)


def test_results_say_how_many_trials_are_not_the_studys_own(tmp_path: Path, four_trials: Path) -> None:
    from search.study import results

    copy_study(four_trials, tmp_path)
    study = run(small(tmp_path), 4)
    add_complete(plain(study))
    told = results.outcome(study, seconds=1.0)
    assert told["added"] == 1
    assert told["trials"] == {"complete": 1, "pruned": 3}
    assert "1 trial of another program in the study: samplers learn from such trials" in results.render(study, told)
    with pytest.raises(RequestError, match=r"trial 4 .* was added by another program: it has no curves"):
        study.predictor(4)


def test_a_copied_study_goes_on_like_the_one_it_is_of(tmp_path: Path, four_trials: Path) -> None:
    copy_study(four_trials, tmp_path)
    study = small(tmp_path)
    copy = f"sqlite:///{tmp_path}/copy.db"
    optuna.copy_study(from_study_name=study.name, from_storage=study.storage, to_storage=copy)
    copied = run(small(tmp_path, storage="copy.db"), 12)
    assert outcome(copied) == outcome(run(small(tmp_path), 12))


@pytest.mark.filterwarnings("ignore:Fixed parameter")
@pytest.mark.parametrize(
    ("enqueued", "why"),
    [({"dropout": 1.5}, "dropout must be < 1, got 1.5"), ({"dropout": "much"}, "much"), ({"lr": 0.0}, "0.0")],
)
def test_values_that_cannot_be_trained_fail_and_the_study_goes_on(tmp_path: Path, enqueued: object, why: str) -> None:
    dropped = {"techniques": ["dropout"], "space": {"dropout": {"low": 0.1, "high": 0.5}, "lr": SMALL["space"]["lr"]}}
    study = run(small(tmp_path, **dropped), 4)
    plain(study).enqueue_trial(enqueued)  # type: ignore[arg-type]
    run(small(tmp_path, **dropped), 8)
    trials = plain(study).trials
    refused = [trial for trial in trials if trial.state == TrialState.FAIL]
    assert [why in trial.user_attrs[REFUSED] for trial in refused] == [True]
    assert len([trial for trial in trials if CURVES in trial.user_attrs]) == 8


def test_values_whose_trial_was_cut_off_are_enqueued_again(tmp_path: Path, four_trials: Path) -> None:
    copy_study(four_trials, tmp_path)
    study = small(tmp_path)
    plain(study).enqueue_trial({"l2": 0.01, "lr": 0.02})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(optuna.Trial, "suggest_float", crash)
        with pytest.raises(Crash):
            run(small(tmp_path), 8)
    run(small(tmp_path), 8)
    trained = [trial.params for trial in plain(study).trials if CURVES in trial.user_attrs]
    assert trained.count({"l2": 0.01, "lr": 0.02}) == 1
    assert len(trained) == 8


def crash(*_given: object, **_named: object) -> float:
    raise Crash


def test_another_process_adds_trials_while_a_search_runs(tmp_path: Path) -> None:
    study = small(tmp_path, trials=24)
    assert study.optuna_study is not None
    script = f"""
        import optuna
        from optuna.distributions import FloatDistribution
        study = optuna.load_study(study_name={study.name!r}, storage={study.storage!r})
        study.sampler = optuna.samplers.RandomSampler(seed=0)
        ranges = {{"l2": FloatDistribution(1e-6, 1e-1, log=True), "lr": FloatDistribution(1e-4, 1e-1, log=True)}}
        for number in range(30):
            study.tell(study.ask(ranges), number + 10.0)
            print(number, flush=True)
    """
    with subprocess.Popen([sys.executable, "-c", textwrap.dedent(script)], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "0\n"
        run(study, 24)
        assert other.wait(120) == 0
    trials = plain(study).trials
    assert sum(is_own(trial) for trial in trials) == 24
    assert sum(trial.state == TrialState.COMPLETE and not is_own(trial) for trial in trials) == 30


def test_a_study_of_another_tool_is_refused_in_a_line(tmp_path: Path) -> None:
    study = small(tmp_path)
    other = optuna.create_study(study_name=study.name, storage=study.storage)
    add_complete(other)
    with pytest.raises(RequestError, match=f"study '{study.name}' exists and was not made by regsearch"):
        run(study, 4)


def test_optuna_sees_the_name_of_the_objective_and_a_curve(tmp_path: Path) -> None:
    study = run(small(tmp_path, set={"epochs": 40, "hidden": "16", "batch_size": 50}), 8)
    seen = plain(study)
    assert seen.metric_names == ["val_loss"]
    complete = [trial for trial in seen.trials if trial.state == TrialState.COMPLETE]
    curves = study.curves()
    for trial in complete:
        least = curves[curves.trial == trial.number].val_loss.cummin().to_list()
        values = trial.intermediate_values
        assert len(values) >= 8
        assert max(values) == 40
        assert values == {epoch: pytest.approx(least[epoch - 1]) for epoch in values}
