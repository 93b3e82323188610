"""Two commands on one study: they share its trials, and each is trained once."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState
from support.small_studies import Quiet, in_any_order, small

from search.choose.claims import FileClaims
from search.record.observer import Trained

RECIPE = """
name = "small"
techniques = ["l2"]
sampler = "{sampler}"
trials = 12
ask_batch = 2
grid_points = 4
pruner = {{ name = "none" }}
data = {{ dataset = "wine" }}
set = {{ epochs = {epochs}, hidden = "16", batch_size = 50 }}
space = {{ l2 = {{ low = 1e-6, high = 1e-1, log = true }}, lr = {{ low = 1e-4, high = 1e-1, log = true }} }}
"""


def start(folder: Path, sampler: str, epochs: int = 6) -> subprocess.Popen[str]:
    (folder / "small.toml").write_text(RECIPE.format(sampler=sampler, epochs=epochs))
    words = [sys.executable, "-m", "search.run", "small.toml", "--tracking-uri", "none", "--device", "cpu", "--json"]
    return subprocess.Popen(
        words,
        cwd=folder,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def ended(process: subprocess.Popen[str], seconds: float = 120) -> dict[str, object]:
    out, err = process.communicate(timeout=seconds)
    assert process.returncode == 0, err
    assert "locked" not in err
    found: dict[str, object] = json.loads(out)
    return found


def study_of(folder: Path) -> optuna.Study:
    return optuna.load_study(study_name="small-wine", storage=f"sqlite:///{folder}/optuna.db")


def test_two_commands_share_a_study(tmp_path: Path) -> None:
    """Every cell of the grid once, whoever trained it, with the results of one command alone."""
    both = [start(tmp_path, "grid"), start(tmp_path, "grid")]
    said = [ended(process) for process in both]
    assert [one["trials"] for one in said] == [{"complete": 16}] * 2
    assert sum(int(str(one["epochs"])) for one in said) == 16 * 6
    alone = small(tmp_path, storage="alone.db", sampler="grid", grid_points=4, pruner={"name": "none"})
    undisturbed = in_any_order(alone.run(observers=[Quiet()]))
    shared = small(tmp_path, storage="optuna.db", sampler="grid", grid_points=4, pruner={"name": "none"}, ask_batch=2)
    assert in_any_order(shared) == undisturbed


@pytest.mark.slow
def test_what_a_killed_process_was_training_is_taken_over_at_once(tmp_path: Path) -> None:
    first = start(tmp_path, "random", epochs=80)
    assert first.stderr is not None
    while "training trials" not in first.stderr.readline():
        assert first.poll() is None
    first.send_signal(signal.SIGSTOP)  # alive, with two trials in hand
    second = start(tmp_path, "random", epochs=80)
    assert second.stderr is not None
    while "another process trains what is left" not in (line := second.stderr.readline()):
        assert second.poll() is None, line
    states = [trial.state for trial in study_of(tmp_path).trials]
    assert (states.count(TrialState.COMPLETE), states.count(TrialState.RUNNING)) == (10, 2)
    first.kill()
    assert ended(second)["trials"] == {"complete": 12}
    first.communicate()


def test_a_cohort_belongs_to_one_process_until_it_is_done(tmp_path: Path) -> None:
    mine, other = (FileClaims(f"sqlite:///{tmp_path}/a.db", "study") for _ in range(2))
    with mine.turn():
        assert mine.take(0)
    with other.turn():
        assert not other.take(0)
        assert other.take(1)
    mine.release()  # as its death would
    with other.turn():
        assert other.take(0)
        other.finish()
    elsewhere = FileClaims(f"sqlite:///{tmp_path}/b.db", "study")
    with mine.turn(), elsewhere.turn():
        assert all(claims.take(cohort) for claims in (mine, elsewhere) for cohort in (0, 1))
    mine.release()
    elsewhere.release()


def test_a_trial_that_another_process_has_told_is_left_to_it(tmp_path: Path) -> None:
    """As where a claim was lost, and both have trained the cohort."""

    class Quicker(Quiet):
        def epoch(self, members: Sequence[Trained]) -> None:
            super().epoch(members)  # type: ignore[arg-type]
            if self.epochs == 4 * 5:
                there = optuna.load_study(study_name="small-wine", storage=f"sqlite:///{tmp_path}/study.db")
                told = next(trial for trial in there.trials if trial.state == TrialState.RUNNING)
                there.tell(told.number, 0.5)

    study = small(tmp_path, pruner={"name": "none"}).run(observers=[Quicker()])
    trials = study.optuna_study.trials
    assert [trial.state for trial in trials] == [TrialState.COMPLETE] * 12
    assert [trial.value for trial in trials].count(0.5) == 1
    undisturbed = small(tmp_path, storage="alone.db", pruner={"name": "none"}).run(observers=[Quiet()])
    same = [one.value == other.value for one, other in zip(trials, undisturbed.optuna_study.trials, strict=True)]
    assert same[:4].count(True) == 3
