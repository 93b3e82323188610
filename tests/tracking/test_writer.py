"""The writer as a process: killed, interrupted, alone on its store, without an MLflow; and the link that feeds it."""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from optuna.trial import TrialState
from support.record_studies import METRICS, Bench
from support.waiting import until

from search.tracking.link import WriterLink
from search.tracking.live import Live
from search.tracking.reach import StorageAway
from search.tracking.turn import Turn, resolved
from search.tracking.writer import Writer


def writer(bench: Bench, *more: str, uri: str | None = None) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "search.tracking.writer", "--study", bench.name, "--storage", bench.storage]
    command += ["--tracking-uri", uri or bench.uri, *more]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def query(bench: Bench, sql: str) -> int:
    connection = sqlite3.connect(bench.folder / "mlflow.db", timeout=30)
    try:
        return int(connection.execute(sql).fetchone()[0])
    finally:
        connection.close()


def test_a_killed_writer_leaves_nothing_missing_and_nothing_twice(tmp_path: Path, empty_mlflow: Path) -> None:
    bench = Bench(tmp_path, empty_mlflow, planned=300)
    for _ in range(15):
        bench.tell(bench.ask(), TrialState.COMPLETE)
    running = bench.ask()
    process = writer(bench)
    assert process.stdin is not None
    for line in bench.lines(running, range(1, 101)):
        process.stdin.write(json.dumps(line).encode() + b"\n")
    process.stdin.flush()
    # Two batches: somewhere in the middle of a trial's points, whose first thousand are there.
    until(lambda: query(bench, "select count(*) from metrics") > 1500)
    process.send_signal(signal.SIGINT)  # the terminal's Ctrl-C is not for the writer
    until(lambda: query(bench, "select count(*) from metrics") > 6000)
    process.kill()
    process.communicate()
    assert query(bench, "select count(*) from runs where status = 'RUNNING'") > 1
    assert query(bench, "select count(*) from runs where status = 'FINISHED'") < 15
    bench.tell(running, TrialState.PRUNED, epochs=200)
    bench.sync()
    assert len(bench.runs()) == 17
    for number in range(16):
        bench.assert_equal(number)


def test_an_mlflow_that_is_not_there_costs_one_line(bench: Bench) -> None:
    bench.tell(bench.ask(), TrialState.COMPLETE)
    out, err = writer(bench, "--patience", "1", uri="http://me:secret@127.0.0.1:9").communicate(timeout=120)
    lines = err.decode().splitlines()
    assert len(lines) == 1, err
    assert lines[0].startswith("MLflow at http://...@127.0.0.1:9 is not answering (")
    assert "run the command again" in lines[0]
    assert "secret" not in lines[0]
    assert out == b""


class _Broken(BaseHTTPRequestHandler):
    """A server that fails at whatever it is asked."""

    def do_GET(self) -> None:
        self.send_error(500, "out of order")

    do_POST = do_GET  # noqa: N815

    def log_message(self, format: str, *args: object) -> None: ...


def test_a_server_that_answers_with_faults_costs_one_line(bench: Bench) -> None:
    bench.tell(bench.ask(), TrialState.COMPLETE)
    with ThreadingHTTPServer(("127.0.0.1", 0), _Broken) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        process = writer(bench, "--patience", "1", uri=f"http://127.0.0.1:{server.server_port}")
        out, err = process.communicate(timeout=120)
        server.shutdown()
    assert process.returncode == 1
    lines = err.decode().splitlines()
    assert len(lines) == 1, err
    assert "is not answering (" in lines[0]
    assert out == b""


def test_link_streams_and_drains(bench: Bench, capfd: pytest.CaptureFixture[str]) -> None:
    link = WriterLink(study=bench.name, storage=bench.storage, tracking_uri=bench.uri)
    trials = [bench.ask(), bench.ask()]
    for trial in trials:
        start = round(trial.datetime_start.timestamp() * 1000)  # type: ignore[union-attr]
        link.started(trial.number, f"trial-{trial.number}", trial.params, bench.planned, start)
    for epoch in range(1, 31):
        values = {name: [bench.values[n][m, :, epoch - 1].mean() for n in (0, 1)] for m, name in enumerate(METRICS)}
        link.epoch([0, 1], [epoch, epoch], int(bench.times[0][epoch - 1]), values)
    until(lambda: query(bench, "select count(*) from metrics where step = 30") > 0)
    bench.tell(trials[0], TrialState.COMPLETE)
    link.told(0)
    assert link.close(wait=True)
    assert link.close(wait=True)
    link.told(1)  # too late, and harmless
    bench.assert_equal(0)
    assert bench.run(0).info.status == "FINISHED"
    assert (bench.run(1).info.status, bench.run(1).data.tags["optuna.state"]) == ("KILLED", "RUNNING")
    assert capfd.readouterr() == ("", "")


def test_without_waiting_the_writer_outlives_the_training(bench: Bench) -> None:
    bench.tell(bench.ask(), TrialState.COMPLETE)
    code = f"""
import sys, time
from search.tracking.link import WriterLink
link = WriterLink(study={bench.name!r}, storage={bench.storage!r}, tracking_uri={bench.uri!r})
for n in range(5000):
    link.epoch([0] * 50, [1] * 50, 1, {{"val_loss": [1.0] * 50}})
link.told(0)
begin = time.monotonic()
assert link.close(wait=False) is False
assert time.monotonic() - begin < 0.2
assert "mlflow" not in sys.modules
"""
    done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=30)
    assert done.returncode == 0
    sql = f"select count(*) from runs where name = '{bench.name}' and status = 'FINISHED'"
    until(lambda: query(bench, sql) == 1)
    bench.assert_equal(0)


def test_a_writer_that_dies_is_said_once(bench: Bench, capfd: pytest.CaptureFixture[str]) -> None:
    link = WriterLink(study="no such study", storage=bench.storage, tracking_uri=bench.uri)

    def said() -> bool:
        link.epoch([0], [1], 1, {"val_loss": [1.0]})
        return "writer has stopped" in capfd.readouterr().err

    until(said)
    for _ in range(10):
        link.epoch([0], [1], 1, {"val_loss": [1.0]})
    assert not link.close(wait=True)
    assert capfd.readouterr().err == ""


@pytest.mark.slow
def test_a_second_writer_waits_for_the_first(bench: Bench) -> None:
    bench.tell(bench.ask(), TrialState.COMPLETE)
    first = writer(bench)
    until(lambda: query(bench, "select count(*) from runs") > 0)
    second = writer(bench)
    assert second.stdin is not None
    assert second.stderr is not None
    second.stdin.close()
    assert b"another search is writing to MLflow" in second.stderr.readline()
    with pytest.raises(subprocess.TimeoutExpired):
        second.wait(1)
    assert first.communicate()[1] == b""
    assert second.wait(120) == 0
    second.stderr.close()
    second.stdout.close()  # type: ignore[union-attr]
    bench.assert_equal(0)


@pytest.mark.slow
def test_the_end_of_a_command_does_not_wait_for_another_studys_writer(bench: Bench) -> None:
    bench.tell(bench.ask(), TrialState.COMPLETE)
    first = writer(bench)
    until(lambda: query(bench, "select count(*) from runs") > 0)
    second = writer(bench, "--patience", "1")
    said = second.communicate(timeout=30)[1]
    assert second.returncode == 1
    assert b"it is still writing: run the command again" in said
    assert first.poll() is None
    first.communicate()
    bench.assert_equal(0)


def test_two_spellings_of_one_store_are_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert resolved("sqlite:///mlflow.db") == resolved(f"sqlite:///{tmp_path}/x/../mlflow.db")
    assert resolved("http://host:5000/") == resolved("http://me:secret@HOST:5000") != resolved("http://host:5001")
    assert resolved("https://host/mlflow") == resolved("https://host:443/mlflow/") != resolved("https://host")
    assert resolved("http://127.0.0.1:5000") == resolved("http://localhost:5000") != resolved("http://host:5000")
    assert resolved("http://host:notaport") == "http://host:notaport"


def test_a_storage_that_stays_away_is_given_up(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    """The last step has got something done, and since then each turn fails before the next one."""

    class Ended:
        ended = True

        def take(self, live: Live, seconds: float) -> None: ...

    class Away(Turn):
        calls = 0

        def kept(self, *, last: bool) -> bool:
            del last
            self.calls += 1
            assert self.calls < 5, "it tries for ever"
            raise StorageAway("the storage is not answering")

    bench.tell(bench.ask(), TrialState.COMPLETE)
    sync = bench.sync(ended=False)
    assert sync.progressed
    turn = Away(bench.uri, bench.storage, bench.name, patience=0)
    assert Writer(Ended(), Live(), sync, turn, bench.uri, patience=0.5).run() == 1
    assert capsys.readouterr().err.startswith("the storage is not answering: ")
