"""Workers on this machine: the same results, whoever dies."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from optuna.trial import TrialState
from support.postgres_server import server
from support.small_studies import ALONE, SMALL, Quiet, in_any_order, small
from support.waiting import until

from search import RequestError, Study
from search.recipe import Recipe
from search.record.observer import Trained
from search.technique import Technique


def workers_of(process: int) -> list[int]:
    found = subprocess.run(["pgrep", "-P", str(process), "-f", "search.study.worker"], capture_output=True, text=True)
    return [int(one) for one in found.stdout.split()]


class Kills(Quiet):
    """Kills one worker of this process, once a trial has been told."""

    def __init__(self) -> None:
        super().__init__()
        self.killed: list[int] = []

    def epoch(self, members: Sequence[Trained]) -> None:
        super().epoch(members)  # type: ignore[arg-type]
        if self.told_numbers and not self.killed and (there := workers_of(os.getpid())):
            self.killed = there[:1]
            os.kill(there[0], signal.SIGKILL)


@pytest.mark.parametrize(
    ("sampler", "workers"),
    [
        ("grid", 2),
        *(
            pytest.param(*one, marks=pytest.mark.slow)
            for one in [("random", 2), ("qmc", 2), ("grid", 4), ("random", 4)]
        ),
    ],
)
def test_workers_come_to_what_one_process_does(tmp_path: Path, sampler: str, workers: int) -> None:
    changes = ALONE | {"sampler": sampler}
    watcher = Quiet()
    shared = small(tmp_path, storage="shared.db", **changes).run(workers=workers, observers=[watcher])
    alone = small(tmp_path, storage="alone.db", **changes).run(observers=[Quiet()])
    assert in_any_order(shared) == in_any_order(alone)
    assert sum(one.trials for one in shared.team) == len(watcher.told_numbers) == len(alone.optuna_study.trials)
    assert sum(one.epochs for one in shared.team) == watcher.epochs == shared.epochs_trained == alone.epochs_trained
    assert workers_of(os.getpid()) == []


@pytest.mark.slow
def test_pruning_counts_every_workers_trials_and_the_budget_is_exact(tmp_path: Path) -> None:
    study = small(tmp_path, ask_batch=2, trials=14).run(workers=2, observers=[Quiet()])
    states = [trial.state for trial in study.optuna_study.trials]
    assert len(states) == 14
    assert set(states) == {TrialState.COMPLETE, TrialState.PRUNED}


@pytest.mark.slow
def test_a_killed_worker_is_started_again_and_nothing_is_lost(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    changes = ALONE | {"sampler": "random", "set": SMALL["set"] | {"epochs": 30}}
    watcher = Kills()
    shared = small(tmp_path, storage="shared.db", **changes).run(workers=2, observers=[watcher])
    assert watcher.killed
    assert "has died (killed by signal 9): starting it again" in capfd.readouterr().err
    alone = small(tmp_path, storage="alone.db", **changes).run(observers=[Quiet()])
    assert in_any_order(shared) == in_any_order(alone)


def test_workers_end_with_the_command_that_started_them(tmp_path: Path) -> None:
    words = ["l2", "--dataset", "wine", "--epochs", "100000", "--workers", "2", "--tracking-uri", "none"]
    command = subprocess.Popen(
        [sys.executable, "-m", "search.run", *words], cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    until(lambda: len(workers_of(command.pid)) == 2, 60)
    there = workers_of(command.pid)
    command.kill()
    command.communicate()
    until(lambda: not any(Path(f"/proc/{one}").exists() for one in there), 60)


@pytest.mark.slow
@pytest.mark.usefixtures("postgres")
@pytest.mark.parametrize("workers", [1, 2])
def test_a_restart_of_the_database_costs_a_pause(
    tmp_path: Path, workers: int, capfd: pytest.CaptureFixture[str]
) -> None:
    def start_again() -> None:
        time.sleep(3)  # what a restart takes: longer than the first pause of who waits for it
        running.start()

    starting = threading.Thread(target=start_again)

    class Restarts(Quiet):
        def told(self, number: int, state: TrialState, value: float | None) -> None:
            super().told(number, state, value)
            if len(self.told_numbers) == 3:
                running.stop()
                starting.start()

    fields = SMALL | ALONE | {"sampler": "random", "set": SMALL["set"] | {"epochs": 200}}
    with server() as running:
        shared = Study(Recipe.parse(fields, "test"), storage=running.url, tracking_uri=None, device="cpu")
        shared.run(workers=workers, observers=[Restarts()])
        starting.join()
        assert "trying again in 2 s" in capfd.readouterr().err
        alone = small(tmp_path, **{name: fields[name] for name in (*ALONE, "sampler", "set")}).run(observers=[Quiet()])
        assert in_any_order(shared) == in_any_order(alone)


def test_what_workers_cannot_do_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="workers must be >= 1, got 0"):
        small(tmp_path).run(workers=0)
    with pytest.raises(RequestError, match=r"workers must be <= \d+ on this machine of \d+ cores?"):
        small(tmp_path).run(workers=1_000_000)
    own = Study(
        "baseline",
        dataset="wine",
        techniques=[Technique(name="own")],
        storage=f"sqlite:///{tmp_path}/o.db",
        tracking_uri=None,
    )
    with pytest.raises(RequestError, match="workers take techniques as paths of files, got the technique 'own'"):
        own.run(workers=2)
