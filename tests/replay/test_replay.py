"""`python -m search.replay`: a trial that trained in a pack is the same alone, to the bit; what differs is named."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.trial import TrialState
from support.small_studies import Quiet, small

from search import Study
from search.data import tables
from search.record.curves import CURVES, DIVERGED_AT, ENVIRONMENT, Curves
from search.record.own import TICKET
from search.replay import __main__ as replay
from search.replay.replay import differences

# Its rate explodes at the first step of epoch 4, where it is asked to.
LATE = """
from search import Numeric, Technique

technique = Technique(
    name="late",
    hyperparameters={"late": Numeric(low=0.0, high=1.0)},
    rate=lambda step, steps, values: 1.0 + values["late"] * 1e30 * (step >= 3 * steps),
)
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Studies: small-wine of three replicates, some of its trials pruned; late, of which one trial diverges late."""
    folder = tmp_path_factory.mktemp("replay")
    small(folder, replicates=3, trials=8).run(observers=[Quiet()], decide=False)
    (folder / "late.py").write_text(LATE)
    recipe = small(folder).recipe.but(
        "late", space={"late": {"choices": [0.0, 1.0]}}, set={"l2": 0.0}, sampler="grid", pruner={"name": "none"}
    )
    Study(
        recipe,
        study_name="late",
        storage=f"sqlite:///{folder}/study.db",
        tracking_uri=None,
        device="cpu",
        techniques=[folder / "late.py"],
    ).run(observers=[Quiet()], decide=False)
    return folder


@pytest.fixture
def folder(made: Path, in_an_empty_folder: Path) -> Path:
    """A copy of the studies, to be tampered with."""
    shutil.copytree(made, in_an_empty_folder, dirs_exist_ok=True)
    return in_an_empty_folder


Said = Callable[..., tuple[str, list[str]]]


@pytest.fixture
def said(folder: Path, capsys: pytest.CaptureFixture[str]) -> Said:
    """What the command prints on stdout, and its lines on stderr."""

    def run(*words: object, status: int = 0) -> tuple[str, list[str]]:
        capsys.readouterr()
        options = ["--storage", f"sqlite:///{folder}/study.db", "--device", "cpu"]
        found = replay.main([*map(str, words), *options])
        out, err = capsys.readouterr()
        assert found == status, out + err
        return out, err.splitlines()

    return run


def trials(folder: Path, study: str = "small-wine") -> list[optuna.trial.FrozenTrial]:
    return optuna.load_study(study_name=study, storage=f"sqlite:///{folder}/study.db").get_trials()


def first(folder: Path, state: TrialState) -> optuna.trial.FrozenTrial:
    return next(trial for trial in trials(folder) if trial.state == state)


def rewrite(folder: Path, number: int, key: str, value: object) -> None:
    """Change an attribute of a trial of small-wine, which Optuna refuses once it is told."""
    database = sqlite3.connect(folder / "study.db")
    with database:
        changed = database.execute(
            "UPDATE trial_user_attributes SET value_json = ? WHERE key = ? AND trial_id = (SELECT trial_id FROM trials"
            " JOIN studies USING (study_id) WHERE number = ? AND study_name = 'small-wine')",
            (json.dumps(value), key, number),
        )
        assert changed.rowcount == 1
    database.close()


@pytest.mark.parametrize(("state", "epochs"), [(TrialState.COMPLETE, 6), (TrialState.PRUNED, 2)])
def test_alone_it_is_the_same_to_the_bit(folder: Path, said: Said, state: TrialState, epochs: int) -> None:
    number = first(folder, state).number
    out, err = said("small-wine", number)
    numbers = f"7 metrics x 3 replicates x {epochs} epochs"
    assert (
        out
        == f"trial {number} of small-wine ({state.name.lower()}): every number of {numbers} is the same to the bit\n"
    )
    assert len(err) == 1
    assert err[0].startswith(f"training trial {number} alone, 3 x {epochs} epochs, on cpu")


def test_a_trial_that_diverged_late(folder: Path, said: Said) -> None:
    """Its last numbers are NaN, or infinite, there and here; the technique's file is named, as for the study."""
    late = next(trial for trial in trials(folder, "late") if DIVERGED_AT in trial.user_attrs)
    curves = Curves.decode(late.user_attrs[CURVES])
    assert not np.isfinite(curves.of("val_loss")[0, -1])
    out, _ = said("late", late.number, "--technique", folder / "late.py", "--json")
    found = json.loads(out, parse_constant=pytest.fail)
    assert (found["same"], found["holds"], found["exact"]) == (True, True, True)
    assert (found["epochs"], found["differences"], found["mismatches"]) == (curves.epochs, [], [])


def test_one_bit_of_a_record_is_found_and_named(folder: Path, said: Said) -> None:
    number = first(folder, TrialState.COMPLETE).number
    curves = Curves.decode(trials(folder)[number].user_attrs[CURVES])
    values = curves.values.copy()
    at = curves.metrics.index("val_loss"), 1, 3
    values[at] = np.nextafter(values[at], np.float32(9))
    rewrite(folder, number, CURVES, Curves(curves.metrics, values).encode())
    found = json.loads(said("small-wine", number, "--json", status=1)[0])
    (difference,) = found["differences"]
    named = {"metric": "val_loss", "values": 1, "epoch": 4, "replicate": 1, "held": 0.0}
    assert named.items() <= difference.items()
    assert 0 < difference["relative"] < 2e-7
    out, _ = said("small-wine", number, status=1)
    assert "val_loss" in out
    assert "train_loss" not in out
    assert "they must be the same" in out
    assert small(folder, replicates=3).replay(number).outcome() == found


def test_a_record_may_have_metrics_of_a_technique_that_does_nothing_in_the_trial(tmp_path: Path) -> None:
    """Up to 0.1.0 such a technique was trained and measured; any other metric still contradicts the record."""
    choices = {"max_norm": {"choices": [float("inf"), 1.0]}}
    here = {"techniques": ["max_norm"], "sampler": "grid", "pruner": {"name": "none"}, "space": choices}
    study = small(tmp_path, **here, set={"epochs": 2, "hidden": "16"}).run(observers=[Quiet()], decide=False)
    for trial in study.optuna_study.trials:
        curves = Curves.decode(trial.user_attrs[CURVES])
        values = np.concatenate([curves.values, np.zeros_like(curves.values[:1])])
        rewrite(tmp_path, trial.number, CURVES, Curves((*curves.metrics, "extra"), values).encode())
    again = small(tmp_path, **here, set={"epochs": 2, "hidden": "16"})
    neutral, bounded = (again.replay(number) for number in (0, 1))
    assert neutral.same
    assert not bounded.holds
    assert bounded.missing == ["extra: in the record only"]


def altered(folder: Path, **changes: str) -> None:
    study = optuna.load_study(study_name="small-wine", storage=f"sqlite:///{folder}/study.db")
    study.set_user_attr(ENVIRONMENT, study.user_attrs[ENVIRONMENT] | changes)


def test_another_version_is_named_and_held_to_a_tolerance(folder: Path, said: Said) -> None:
    number = first(folder, TrialState.COMPLETE).number
    altered(folder, torch="2.0.1")
    out, err = said("small-wine", number)
    assert "same to the bit" in out
    assert err[0].startswith("recorded on torch 2.0.1, here ")
    found = small(folder, replicates=3).replay(number)
    assert (found.exact, found.holds, replace(found, ended=5).holds, replace(found, ended=2).holds) == (
        False,
        True,
        True,
        False,
    )
    assert not replace(found, exact=True, ended=5).holds
    curves = Curves.decode(trials(folder)[number].user_attrs[CURVES])
    place = curves.metrics.index("val_loss")
    for epoch, factor, status in [(6, 1.5, 0), (2, 1 + 3e-5, 0), (2, 1 + 3e-4, 1)]:
        values = curves.values.copy()
        values[place, 0, epoch - 1] *= np.float32(factor)
        rewrite(folder, number, CURVES, Curves(curves.metrics, values).encode())
        out, _ = said("small-wine", number, status=status)
        assert "the bits may differ here" in out
        assert ("val_loss is off by 3.0e-04" in out) == (status == 1)


def test_a_trial_that_magnifies_rounding_is_not_held_to_the_tolerance(tmp_path: Path) -> None:
    """The same change of the record, of a trial that is far from settled and of one that is not."""
    rates = {"sampler": "grid", "space": {"lr": {"choices": [1e-3, 1.0]}}, "pruner": {"name": "none"}}
    here = {"set": {"l2": 0.0, "epochs": 4, "hidden": "16", "batch_size": 5}, "storage": "study.db"} | rates
    study = small(tmp_path, **here).run(observers=[Quiet()], decide=False)
    altered(tmp_path, torch="2.0.1")
    for trial in study.optuna_study.trials:
        curves = Curves.decode(trial.user_attrs[CURVES])
        values = curves.values.copy()
        values[curves.metrics.index("val_loss"), 0, 1] *= np.float32(1 + 3e-4)
        rewrite(tmp_path, trial.number, CURVES, Curves(curves.metrics, values).encode())
    by_rate = {trial.params["lr"]: small(tmp_path, **here).replay(trial.number) for trial in study.optuna_study.trials}
    settled, far = by_rate[1e-3], by_rate[1.0]
    assert settled.rounding is not None
    assert settled.rounding < 1e-5
    assert not settled.holds
    assert "the trial magnifies rounding" not in str(settled)
    assert far.rounding is not None
    assert far.rounding > 1e-3
    assert far.holds
    assert "the trial magnifies rounding" in str(far)


def test_other_data_is_refused(said: Said, monkeypatch: pytest.MonkeyPatch) -> None:
    read = tables.read

    def changed(*given: Any) -> Any:
        source = read(*given)
        source.inputs.x[:, 0] += 1
        return source

    monkeypatch.setattr(tables, "read", changed)
    out, (line,) = said("small-wine", 0, status=2)
    assert out == ""
    assert "study 'small-wine' exists and differs in data: " in line
    assert line.endswith("give the data, and the --technique and --metric files, that it was run with")


def test_what_cant_be_replayed_is_refused_in_one_line(folder: Path, said: Said) -> None:
    study = optuna.load_study(study_name="small-wine", storage=f"sqlite:///{folder}/study.db")
    own = [study.ask() for _ in range(3)]
    for trial in own:
        trial.set_user_attr(TICKET, trial.number)
    study.tell(own[1], state=TrialState.FAIL)
    study.tell(own[2], state=TrialState.PRUNED)
    study.enqueue_trial({"l2": 0.1})
    rewrite(folder, 0, CURVES, {"metrics": [], "shape": [0, 3, 0], "data": "eJwDAAAAAAE="})
    for words, says, status in [
        (["small-wine", 99], "has no trial 99: it has 12 trials, numbered from 0", 2),
        (["small-wine", 8], "trial 8 is running: give the number of a complete or pruned trial", 2),
        (["small-wine", 9], "trial 9 is failed: give the number of a complete or pruned trial", 2),
        (["small-wine", 10], "trial 10 has no curves to compare with", 2),
        (["small-wine", 11], "trial 11 is waiting: give the number of a complete or pruned trial", 2),
        (["small-wine", 0], "trial 0 has no curves to compare with", 2),
        (["small-wine", "best"], "trial takes a whole number, got 'best'", 2),
        (["wine-small", 0], "unknown study 'wine-small'", 2),
        (["late", 0], "unknown hyperparameter 'late'", 2),
    ]:
        out, (line,) = said(*words, status=status)
        assert out == ""
        assert says in line
    rewrite(folder, 1, CURVES, {"metrics": ["val_loss"], "shape": [1, 3, 6], "data": "eJw="})
    assert "the record of trial 1 can't be read" in said("small-wine", 1, status=1)[1][0]


def test_numbers_that_are_none() -> None:
    """NaN is NaN whatever its bits; a number that became none is infinitely far off; 0.0 is not -0.0."""
    was = np.array([[[np.nan, 1.0, np.inf, 0.0]]], dtype=np.float32)
    other_nan = np.array([0xFFC00001], dtype=np.uint32).view(np.float32)[0]
    again = was.copy()
    again[0, 0, 0] = other_nan
    assert differences(Curves(("a",), was), Curves(("a",), again)) == []
    again[0, 0, 3] = -0.0
    (zero,) = differences(Curves(("a",), was), Curves(("a",), again))
    assert (zero.values, zero.absolute, zero.relative, zero.epoch) == (1, 0.0, 0.0, 4)
    again[0, 0, 1] = np.nan
    (lost,) = differences(Curves(("a",), was), Curves(("a",), again))
    assert (lost.values, lost.absolute, lost.held, lost.epoch) == (2, np.inf, np.inf, 2)
