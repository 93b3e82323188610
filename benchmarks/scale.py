"""Measure what it costs to train in more than one process, and how much load a study puts on a PostgreSQL server.

**Overhead.** The same study (l2+dropout on digits, random search, no pruning, cohorts of 8) is run by three commands.
They run in turn as whole processes, until MLflow holds the last trial:

    one process     python -m search.run ...               two threads, SQLite files
    two workers     ... --workers 2                        SQLite files
    cluster         ... --engine ray --workers 2           two nodes with one CPU each, PostgreSQL, an MLflow server

The cluster and its servers are already running, as a user's would, and they share this machine. The cluster must take
at most 1.15 times as long as one process.

**Load.** Studies run in a PostgreSQL server that waits for the disk, as it does by default. Measured per trial are
transactions, rows written and read, bytes of the write-ahead log, milliseconds of the server's processors, and
milliseconds in which a process has the study's turn, so that no other can ask; and connections per worker. The inverse
of the time in turn is the number of trials per second that one study can ask for, whatever trains them. The inverse of
the processors' time, times their number, is how many the server can serve.

    python benchmarks/scale.py [--trials 64] [--epochs 100] [--repeats 3] [--json FILE]

Prints the seconds of each command and their ratios to one process, as median (min to max), then the load.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).resolve().parents[1] / "tests"))

import measure
from sqlalchemy import create_engine, text
from support.mlflow_server import serving
from support.postgres_server import Server, server
from support.ray_cluster import Nodes

from search import Study
from search.choose.claims import Claims

_BAR = 1.15
_EQUAL = ["--sampler", "random", "--pruner", "none", "--ask-batch", "8"]
# Fields of the recipes that are not the defaults.
_KINDS: dict[str, dict[str, Any]] = {
    "random": {"sampler": "random", "pruner": {"name": "none"}, "ask_batch": 8},
    "tpe, halving": {},
}
_COUNTED = ("xact_commit", "tup_inserted", "tup_updated", "tup_fetched")


def overhead(trials: int, epochs: int, repeats: int) -> dict[str, list[float]]:
    """Return the seconds of every run by contender, in the order of the runs."""
    words = ["-m", "search.run", "l2+dropout", "--trials", str(trials), "--epochs", str(epochs), *_EQUAL, "--json"]
    environment = dict(os.environ) | {"MLFLOW_DISABLE_TELEMETRY": "true"}
    seconds: dict[str, list[float]] = {}
    with contextlib.ExitStack() as stack:
        postgres = stack.enter_context(server(durable=True))
        tracking = stack.enter_context(serving(Path(stack.enter_context(tempfile.TemporaryDirectory()), "mlflow.db")))
        nodes = Nodes()
        stack.callback(nodes.close)
        for repeat in range(repeats):
            away = ["--storage", postgres.url, "--tracking-uri", tracking, "--study-name", f"study-{repeat}"]
            contenders = {
                "one process": [],
                "two workers": ["--workers", "2"],
                "cluster": ["--engine", "ray", "--address", nodes.address, "--workers", "2", *away],
            }
            for name, options in contenders.items():
                with tempfile.TemporaryDirectory() as folder:
                    done = measure.timed([sys.executable, *words, *options], Path(folder), environment)
                told = json.loads(done.stdout)
                if told["trials"] != {"complete": trials} or told["epochs"] != trials * epochs:
                    raise RuntimeError(f"{name} has trained {told['trials']}, {told['epochs']} epochs")
                seconds.setdefault(name, []).append(done.seconds)
                print(f"{repeat + 1}/{repeats} {name}: {done.seconds:.1f} s", file=sys.stderr)
    return seconds


def load(trials: int, epochs: int) -> dict[str, dict[str, float]]:
    """Return the load of each kind of study on a server."""
    found = {}
    for kind, changes in _KINDS.items():
        with server(durable=True) as postgres:
            study = Study(
                "l2+dropout", storage=postgres.url, tracking_uri=None, trials=trials, set={"epochs": epochs}, **changes
            )
            _ = study.optuna_study  # creates the study and Optuna's tables, which happens once
            turns = study.claims = Turns(study.claims)
            before = _counts(postgres)
            with _connections(postgres) as most:
                study.run(observers=())
            after = _counts(postgres)
            per_trial = {name: (after[name] - before[name]) / trials for name in after}
            found[kind] = per_trial | {"ms_in_turn": 1000 * turns.seconds / trials, "connections_per_worker": most()}
            print(f"{kind}: {found[kind]}", file=sys.stderr)
    return found


class Turns:
    """Claims that time their turns, without the wait for them."""

    def __init__(self, claims: Claims) -> None:
        self._claims = claims
        self.seconds = 0.0
        self.take, self.finish, self.release = claims.take, claims.finish, claims.release

    def turn(self) -> AbstractContextManager[None]:
        return self._timed()

    @contextmanager
    def _timed(self) -> Iterator[None]:
        with self._claims.turn():
            started = time.perf_counter()
            try:
                yield
            finally:
                self.seconds += time.perf_counter() - started


def _counts(postgres: Server) -> dict[str, float]:
    """Return what the server has done so far."""
    time.sleep(2)  # a backend reports its statistics up to a second later, and nothing says when
    with create_engine(postgres.url).connect() as connection:
        row = connection.execute(text(f"SELECT {', '.join(_COUNTED)} FROM pg_stat_database WHERE datname = 'postgres'"))
        (written,) = connection.execute(text("SELECT wal_bytes FROM pg_stat_wal")).one()
        (pid,) = connection.execute(text("SELECT pg_backend_pid()")).one()
        commits, inserted, updated, fetched = row.one()
    counts = {"transactions": commits, "rows_written": inserted + updated, "rows_read": fetched}
    return counts | {"wal_bytes": float(written), "server_cpu_ms": 1000 * _cpu_seconds(_parent(pid))}


def _parent(pid: int) -> int:
    return int(_stat(pid)[1])


def _cpu_seconds(postmaster: int) -> float:
    """Return the processor time of the server's processes, ended ones included."""
    living = [int(path.name) for path in Path("/proc").iterdir() if path.name.isdecimal()]
    ticks = sum(int(one) for one in _stat(postmaster)[11:15])
    for pid in living:
        with contextlib.suppress(OSError):
            fields = _stat(pid)
            ticks += sum(int(one) for one in fields[11:13]) if int(fields[1]) == postmaster else 0
    return ticks / os.sysconf("SC_CLK_TCK")


def _stat(pid: int) -> list[str]:
    """Return the fields of a process's stat file from the third, its state, on (proc(5))."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


@contextmanager
def _connections(postgres: Server) -> Iterator[Callable[[], int]]:
    """Yield a function that returns the most connections so far, without the one that counts them."""
    most, over = 0, threading.Event()

    def look() -> None:
        nonlocal most
        with create_engine(postgres.url, isolation_level="AUTOCOMMIT").connect() as connection:
            asked = text("SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'")
            while not over.wait(0.1):
                most = max(most, connection.execute(asked).scalar_one() - 1)

    looking = threading.Thread(target=look)
    looking.start()
    try:
        yield lambda: most
    finally:
        over.set()
        looking.join()


def report(seconds: Mapping[str, Sequence[float]]) -> dict[str, Any]:
    """Return every run's seconds, and their ratios to those of one process."""
    found: dict[str, Any] = {name: {"seconds": list(each)} | measure.summary(each) for name, each in seconds.items()}
    for name in ("two workers", "cluster"):
        ratios = [mine / alone for mine, alone in zip(seconds[name], seconds["one process"], strict=True)]
        found[f"{name} / one process"] = {"ratios": ratios} | measure.summary(ratios)
    return found


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=64)
    parser.add_argument("--epochs", type=int, default=100)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", type=Path, help="write the result to this file")
    args = parser.parse_args(words)
    loads = load(args.trials, args.epochs)
    found = report(overhead(args.trials, args.epochs, args.repeats))
    for name, values in found.items():
        print(f"{name:28}{values['median']:8.2f} ({values['min']:.2f} to {values['max']:.2f})")
    print(f"the bar: cluster / one process <= {_BAR}")
    for kind, values in loads.items():
        print(f"{kind}, per trial: " + ", ".join(f"{name} {value:.4g}" for name, value in values.items()))
    if args.json is not None:
        given = {"trials": args.trials, "epochs": args.epochs, "repeats": args.repeats}
        measure.write(args.json, "scale", given | {"overhead": found, "load": loads})


if __name__ == "__main__":
    main()
