"""Writers of many machines on one study and one MLflow: one at a time, and nothing is missing or there twice.

The machines are processes with temporary folders of their own, in which the locks of one machine are.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import optuna
import pytest
from mlflow import MlflowClient
from optuna.trial import TrialState
from support import waiting
from support.mlflow_runs import assert_equal, runs
from support.mlflow_server import free_port, serving
from support.postgres_server import Server, server
from support.small_studies import SMALL, Quiet

from search import Study
from search.recipe import Recipe
from search.storage.database import connect
from search.tracking.live import Live
from search.tracking.reach import StorageAway
from search.tracking.turn import Turn

URI = "http://tracking:5000"


class Command:
    """What trains: it has so many times something to say."""

    def __init__(self, times: int) -> None:
        self._times = times

    @property
    def ended(self) -> bool:
        return not self._times

    def take(self, live: Live, seconds: float) -> None:
        del live
        if self._times:
            time.sleep(seconds)  # as long as a writer waits for a line: what trains is slow
            self._times -= 1


@pytest.fixture
def turn(postgres: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Turn]]:
    """A writer's turn, on a machine by its name."""
    with ExitStack() as stack:

        def make(machine: str, study: str = "a study", uri: str = URI, storage: str = postgres.url) -> Turn:
            (tmp_path / machine).mkdir(exist_ok=True)
            monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / machine))
            return stack.enter_context(Turn(uri, storage, study, patience=0))

        yield make


def waits(turn: Turn, *, training: int = 0) -> bool:
    """Whether it has come before the end of a command that has so many times something to say."""
    return turn.wait(Command(training), Live())


def test_a_study_has_one_writer_whatever_machine_it_is_on(
    turn: Callable[..., Turn], capsys: pytest.CaptureFixture[str]
) -> None:
    mine, other = turn("one"), turn("two")
    assert waits(mine, training=20)
    assert mine.kept(last=False)
    assert not waits(other)
    assert other.elsewhere
    server = "MLflow at http://tracking:5000"
    said = f"the MLflow writer of another command keeps {server} up to date with this command's trials too\n"
    assert capsys.readouterr().err == said
    assert waits(turn("two", uri="http://elsewhere:5000"), training=20)
    assert waits(turn("three", "another study"), training=20)
    files = [turn(machine, uri="sqlite:///mlflow.db") for machine in ("four", "five")]
    assert all(waits(file, training=20) for file in files)
    mine.release()
    assert waits(other, training=20)


def test_whoever_comes_after_the_last_look_waits_for_its_end(turn: Callable[..., Turn]) -> None:
    mine, successor, third = turn("one"), turn("two"), turn("three")
    assert waits(mine, training=20)
    assert mine.kept(last=True)
    assert mine.kept(last=True)
    succeeded = []
    thread = threading.Thread(target=lambda: succeeded.append(waits(successor)))
    thread.start()
    thread.join(1.5)
    assert thread.is_alive()
    assert not waits(third)
    assert third.elsewhere
    mine.release()
    thread.join(30)
    assert succeeded == [True]
    assert successor.kept(last=True)


def test_a_machines_other_study_is_in_nobody_elses_way(
    turn: Callable[..., Turn], capsys: pytest.CaptureFixture[str]
) -> None:
    assert waits(turn("one", "another study"), training=20)
    hindered = turn("one")
    assert not waits(hindered)
    assert not hindered.elsewhere
    assert "another search is writing to MLflow" in capsys.readouterr().err
    assert waits(turn("two"), training=20)


@pytest.mark.usefixtures("postgres")
def test_after_a_restart_of_the_server_there_is_one_writer_again(
    turn: Callable[..., Turn], capsys: pytest.CaptureFixture[str]
) -> None:
    with server() as running:
        mine, other = (turn(machine, storage=running.url) for machine in ("one", "two"))
        assert waits(mine, training=20)
        running.stop()
        with pytest.raises(StorageAway, match="is not answering"):
            mine.kept(last=False)
        assert not waits(other)
        assert not other.elsewhere
        assert "is not answering" in capsys.readouterr().err
        running.start()
        assert mine.kept(last=False)
        running.stop()
        running.start()
        assert waits(other, training=20)  # quicker
        assert not mine.kept(last=False)
        assert not waits(mine)
        assert mine.elsewhere
        assert other.kept(last=False)
        mine.release()
        other.release()


LONG: dict[str, Any] = {
    "trials": 24,
    "ask_batch": 4,
    "sampler": "random",
    "pruner": {"name": "none"},
    "set": SMALL["set"] | {"epochs": 300, "batch_size": 10},
}
TOML = """
name = "small"
techniques = ["l2"]
sampler = "random"
trials = {trials}
ask_batch = 4
pruner = {{ name = "none" }}
data = {{ dataset = "wine" }}
set = {{ epochs = {epochs}, hidden = "16", batch_size = 10 }}
space = {{ l2 = {{ low = 1e-6, high = 1e-1, log = true }}, lr = {{ low = 1e-4, high = 1e-1, log = true }} }}
"""


until = partial(waiting.until, seconds=180)


def has_runs(mlflow: Path) -> bool:
    """Whether some trials have runs in a database of MLflow's."""
    file = f"sqlite:///{mlflow}"
    return MlflowClient(file).get_experiment_by_name("regsearch") is not None and len(runs(file)) > 2


class Machine:
    """A command with a folder, and a temporary folder, of its own."""

    def __init__(self, folder: Path, postgres: Server, uri: str, *, trials: int, epochs: int) -> None:
        (folder / "tmp").mkdir(parents=True)
        (folder / "small.toml").write_text(TOML.format(trials=trials, epochs=epochs))
        words = ["small.toml", "--storage", postgres.url, "--tracking-uri", uri, "--device", "cpu", "--slots", "4"]
        self._said = folder / "said"
        with self._said.open("wb") as said:
            self.command = subprocess.Popen(
                [sys.executable, "-m", "search.run", *words],
                cwd=folder,
                stdout=said,
                stderr=said,
                env=os.environ | {"TMPDIR": str(folder / "tmp"), "OMP_NUM_THREADS": "1"},
            )

    @property
    def said(self) -> str:
        return self._said.read_text()

    def kill_writer(self) -> None:
        words = ["pgrep", "-P", str(self.command.pid), "-f", "search.tracking.writer"]
        (one,) = subprocess.run(words, capture_output=True, text=True).stdout.split()
        os.kill(int(one), signal.SIGKILL)


@pytest.mark.slow
def test_two_machines_keep_one_view(tmp_path: Path, empty_mlflow: Path, postgres: Server) -> None:
    """Also where the writer of one is killed, and its command trains on."""
    shutil.copy(empty_mlflow, tmp_path / "mlflow.db")
    with serving(tmp_path / "mlflow.db") as uri:
        size = {"trials": 72, "epochs": 400}
        first = Machine(tmp_path / "first", postgres, uri, **size)
        until(lambda: has_runs(tmp_path / "mlflow.db"))
        second = Machine(tmp_path / "second", postgres, uri, **size)
        until(lambda: "up to date with this command's trials too" in second.said)
        # By then the first has brought trials of the second's.
        until(
            lambda: [one.info.status for one in runs(f"sqlite:///{tmp_path}/mlflow.db").values()].count("FINISHED") > 12
        )
        first.kill_writer()
        machines = [first, second]
        for one in machines:
            one.command.wait(300)
        assert [one.command.returncode for one in machines] == [0, 0], [one.said for one in machines]
        assert "MLflow is up to date" not in first.said
        assert "MLflow is up to date" in second.said
        study = optuna.load_study(study_name="small-wine", storage=connect(postgres.url))
        assert [trial.state for trial in study.trials] == [TrialState.COMPLETE] * size["trials"]
        assert_equal(study, runs(uri), MlflowClient(uri))


@pytest.mark.slow
def test_a_restart_of_mlflow_during_a_study_of_workers_leaves_no_gap(tmp_path: Path, empty_mlflow: Path) -> None:
    class Restarts(Quiet):
        """Kills the server when it has runs, and starts another four trials later; the workers train on."""

        killed = 0

        def told(self, number: int, state: TrialState, value: float | None) -> None:
            super().told(number, state, value)
            if not self.killed and has_runs(database):
                life.close()
                self.killed = len(self.told_numbers)
            elif self.killed and len(self.told_numbers) == self.killed + 4:
                life.enter_context(serving(database, port))

    database = tmp_path / "mlflow.db"
    shutil.copy(empty_mlflow, database)
    port = free_port()
    with ExitStack() as life:
        uri = life.enter_context(serving(database, port))
        fields = SMALL | LONG
        study = Study(
            Recipe.parse(fields, "test"),
            storage=f"sqlite:///{tmp_path}/study.db",
            tracking_uri=uri,
            device="cpu",
            slots=4,
        )
        study.run(workers=2, observers=[Restarts()])
        assert [trial.state for trial in study.optuna_study.trials] == [TrialState.COMPLETE] * fields["trials"]
        assert_equal(study.optuna_study, runs(uri), MlflowClient(uri))


@pytest.mark.slow
@pytest.mark.usefixtures("postgres")
def test_a_restart_of_the_studys_database_does_not_end_its_writer(tmp_path: Path, empty_mlflow: Path) -> None:
    shutil.copy(empty_mlflow, tmp_path / "mlflow.db")
    with server() as running, serving(tmp_path / "mlflow.db") as uri:

        def train(trials: int) -> optuna.Study:
            study = Study(Recipe.parse(SMALL, "test"), storage=running.url, tracking_uri=None, device="cpu")
            return study.run(trials, observers=[Quiet()]).optuna_study

        name = train(4).study_name
        words = ["--study", name, "--storage", running.url, "--tracking-uri", uri, "--patience", "60"]
        said = tmp_path / "said"
        command = [sys.executable, "-m", "search.tracking.writer", *words]
        with said.open("wb") as stderr:
            writer = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=stderr)
        try:
            until(lambda: has_runs(tmp_path / "mlflow.db"))
            running.stop()
            until(lambda: "is not answering" in said.read_text())
            running.start()
            study = train(8)
            until(lambda: f"{name}/7" in runs(f"sqlite:///{tmp_path}/mlflow.db"))  # of which nobody has told it
            assert writer.stdin is not None
            writer.stdin.close()
            assert writer.wait(120) == 0
        finally:
            writer.kill()
        assert_equal(study, runs(uri), MlflowClient(uri))
