"""More replicates of the best trials: what alone they would be, trained once, and of no effect on the study itself."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.small_studies import Crash, Quiet, outcome, small

from search import Study
from search.compare.studies import FRESH
from search.export import __main__ as export
from search.recipe.schema import MOST_REPLICATES
from search.record import added
from search.report import __main__ as report
from search.report import replicates, statistics
from search.report.record import read
from search.train.pack import Pack, Slot

pytestmark = pytest.mark.usefixtures("in_an_empty_folder")
NAME = "one standard error"


@pytest.fixture
def study(tmp_path: Path) -> Study:
    """With one replicate and two signatures; it has decided nothing, and so has no more replicates."""
    space = {"l2": {"low": 1e-6, "high": 1e-1, "log": True}, "hidden": {"choices": ["8", "16"]}}
    return small(tmp_path, space=space, trials=8, pruner={"name": "none"}).run(observers=[Quiet()], decide=False)


def command(capsys: pytest.CaptureFixture[str], main: Any, *words: str) -> tuple[dict[str, Any], str]:
    capsys.readouterr()
    assert main(["small-wine", *words, "--storage", "sqlite:///study.db", "--device", "cpu", "--json"]) == 0
    out, err = capsys.readouterr()
    return json.loads(out), err


def test_each_is_what_it_is_alone(study: Study) -> None:
    of = replicates.train(study, read(study))
    assert set(of.added) == {trial.number for trial in study.optuna_study.trials}
    entry = of.complete[3]
    values = study.space.complete(entry.params)
    assert values is not None
    for number in (0, 4):
        slot = Slot(entry.number, replicates.FIRST + number, study.numeric(values))
        pack = Pack(study.program(values), study.batches, [slot])
        losses = [float(pack.run_epoch()["val_loss"][0]) for _ in range(6)]
        assert of.added[entry.number][number] == np.float32(min(losses))
    assert len({float(one) for one in of.added[entry.number]}) == 5


def test_no_search_and_no_comparison_uses_them() -> None:
    assert MOST_REPLICATES <= FRESH
    assert replicates.FIRST > FRESH + 10**9


def test_they_are_trained_once_and_the_study_stays_what_it_is(
    study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = outcome(study)
    note = added.note

    def dies(optuna_study: Any, trial: int, objectives: Any) -> None:
        if len(added.noted(optuna_study.user_attrs)) == 3:
            raise Crash
        note(optuna_study, trial, objectives)

    monkeypatch.setattr(added, "note", dies)
    with pytest.raises(Crash):
        replicates.train(study, read(study))
    monkeypatch.undo()
    assert len(read(study).added) == 3
    said: list[str] = []
    whole = replicates.train(study, read(study), said.append)
    assert said == ["training the 5 best trials on 5 more replicates each"]
    again = replicates.train(study, read(study), said.append)
    assert len(said) == 1
    assert replicates.seconds(again) == 0
    assert whole.added.keys() == again.added.keys() == {*range(8)}
    assert all((whole.added[at] == again.added[at]).all() for at in range(8))
    assert outcome(study) == before
    # What is searched next is what it would have been.
    other = small(tmp_path, storage="other.db", **study.recipe.model_dump(exclude={"name"}, exclude_unset=True))
    assert outcome(study.run(12, observers=[Quiet()])) == outcome(other.run(12, observers=[Quiet()]))
    assert len(statistics.lacking(read(study))) == len({one.number for one in read(study).complete[:10]} - {*range(8)})


def test_report_and_export_agree(study: Study, capsys: pytest.CaptureFixture[str]) -> None:
    said, _ = command(capsys, report.main, "--no-training")
    (text,) = (one["text"] for one in said["statements"] if one["about"] == NAME)
    assert "needs at least 3 replicates, and the study has 1." in text
    assert "the report trains 8 of the best trials on 5 more replicates." in text
    exported, err = command(capsys, export.main, "--one-se")
    assert "training the 8 best trials on 5 more replicates each" in err
    said, _ = command(capsys, report.main, "--no-training")
    (text,) = (one["text"] for one in said["statements"] if one["about"] == NAME)
    choice = statistics.one_standard_error(read(study))
    assert choice is not None
    assert choice.replicates == 6
    assert exported["trial"] == choice.chosen.number
    assert f"Over all 6 replicates, trial {choice.best.number}" in text
    assert (f"Trial {choice.chosen.number} (" in text) == (choice.chosen is not choice.best)
    losses = np.concatenate([choice.best.objectives, read(study).added[choice.best.number]])
    means = [np.concatenate([one.objectives, read(study).added[one.number]]).mean() for one in read(study).complete]
    assert losses.mean() == min(means)
    _, err = command(capsys, export.main, "--one-se")
    assert "more replicates" not in err


def test_a_report_trains_them_where_that_is_quick(study: Study, capsys: pytest.CaptureFixture[str]) -> None:
    command(capsys, report.main)
    assert len(read(study).added) == 8
