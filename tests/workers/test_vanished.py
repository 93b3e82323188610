"""Machines that vanish, without a word to the other side: who holds what, and who still waits.

The machines are network namespaces on a switch, a bridge, and one vanishes by its cable: no packet passes any more, and
nothing closes a connection. No proxy could stand in for this: its kernel would answer for the machine.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.postgres_server import Server, programs, server

pytestmark = pytest.mark.slow

# Seconds. Promised are a minute, and two for a turn; the operating system's own settings make it a quarter of an hour.
DEADLINE = 240
ROOT = Path(__file__).parents[2]
BEGINS = """
import sys, time
import optuna
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from search.choose.advisory import AdvisoryClaims
from search.storage.database import connect

url = sys.argv[1]
claims = AdvisoryClaims(url, "a study")

def say(word):
    print(word, flush=True)
    input()

def until_another_waits():
    engine = connect(url).engine
    while True:
        with engine.connect() as connection:
            if connection.execute(text("SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")).all():
                return
        time.sleep(0.1)
"""
HAS = """
with claims.turn():
    assert claims.take(7)
rows = connect(url).engine.connect()
rows.execute(text("SELECT study_id FROM studies FOR UPDATE")).all()
say("has claim and rows")
with AdvisoryClaims(url, "a study").turn():
    say("has been given its turn")
"""
COMES_AFTER = """
study = optuna.create_study(study_name="a study", storage=connect(url))
say("has made the study")
with claims.turn():
    assert not claims.take(7)
    say("in its turn")
    until_another_waits()
    say("another waits")
mine = False
while not mine:  # the turn may be free sooner than the claim
    with claims.turn():
        mine = claims.take(7)
    time.sleep(0.1)
study.ask()
say("has claim and rows")
"""
KEEPS = """
with claims.turn():
    say("in its turn")
    until_another_waits()
    say("another waits")
"""
WAITS = """
say("begins")
try:
    with claims.turn():
        say("has been given its turn")
except SQLAlchemyError:
    say("gives up")
"""
CLAIMS = """
with claims.turn():
    assert claims.take(7)
say("begins")
try:
    claims.finish()
except SQLAlchemyError:
    say("gives up")
"""
READS = """
storage = connect(url)
say("begins")
try:
    storage.get_all_studies()
except Exception as error:
    say("gives up" if isinstance(error.__cause__, SQLAlchemyError) else repr(error))
"""


class Machines:
    """Two machines, near and far, on one switch."""

    def __init__(self) -> None:
        self.near, self.far, self._switch = (f"regsearch-{os.getpid()}-{one}" for one in ("near", "far", "switch"))

    def build(self) -> None:
        for name in (self.near, self.far, self._switch):
            _ip("netns", "add", name)
            _ip("-n", name, "link", "set", "lo", "up")
        _ip("-n", self._switch, "link", "add", "switch", "type", "bridge")
        _ip("-n", self._switch, "link", "set", "switch", "up")
        for name, port, address in ((self.near, "port1", "192.0.2.1/24"), (self.far, "port2", "192.0.2.2/24")):
            _ip("-n", name, "link", "add", "eth0", "type", "veth", "peer", "name", port, "netns", self._switch)
            _ip("-n", name, "address", "add", address, "dev", "eth0")
            _ip("-n", name, "link", "set", "eth0", "up")
            _ip("-n", self._switch, "link", "set", port, "master", "switch", "up")

    def remove(self) -> None:
        for name in (self.near, self.far, self._switch):
            subprocess.run(["ip", "netns", "delete", name], capture_output=True)

    def cut(self) -> None:
        """Pull the far one's cable."""
        _ip("-n", self._switch, "link", "set", "port2", "down")


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True, text=True)


def on(machine: str) -> list[str]:
    return ["ip", "netns", "exec", machine]


class Process:
    """A Python process on a machine, which says how far it has come and goes on when told to; killed at a deadline."""

    def __init__(self, machine: str, url: str, script: str) -> None:
        words = [*on(machine), sys.executable, "-c", BEGINS + script, url]
        self._process = subprocess.Popen(words, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._deadline = threading.Timer(DEADLINE, self._process.kill)
        self._deadline.start()

    def __enter__(self) -> Process:
        return self

    def __exit__(self, *_: object) -> None:
        self._deadline.cancel()
        self._process.kill()
        self._process.communicate()

    def says(self) -> str:
        """Its next word; none if it has ended."""
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def go_on(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()


@pytest.fixture
def machines() -> Iterator[Machines]:
    if sys.platform != "linux" or os.getuid() != 0 or shutil.which("ip") is None:
        pytest.skip("network namespaces need Linux, root and the program ip (Debian: apt-get install iproute2)")
    made = Machines()
    try:
        try:
            made.build()
        except subprocess.CalledProcessError as error:
            pytest.skip(f"no network namespaces here: {error.stderr.strip()}")
        yield made
    finally:
        made.remove()


@pytest.fixture
def near_server(machines: Machines) -> Iterator[Server]:
    if programs() is None:
        pytest.skip("no PostgreSQL here (Debian: apt-get install postgresql)")
    pytest.importorskip("psycopg", reason="no psycopg here: uv sync --extra postgres")
    with server("192.0.2.1", on(machines.near)) as running:
        yield running


def test_what_a_vanished_machine_had_is_free_again(machines: Machines, near_server: Server) -> None:
    """Its claim, its lock on Optuna's rows, and the turn that it waited for, which it is still given."""
    url = near_server.url
    with Process(machines.near, url, COMES_AFTER) as near:
        assert near.says() == "has made the study"
        with Process(machines.far, url, HAS) as far:
            assert far.says() == "has claim and rows"
            near.go_on()
            assert near.says() == "in its turn"
            far.go_on()
            near.go_on()
            assert near.says() == "another waits"
            machines.cut()
            near.go_on()
            assert near.says() == "has claim and rows"


def test_nobody_waits_for_a_vanished_server(machines: Machines, near_server: Server) -> None:
    """Neither for the answer to what it was asked before, nor to what it is asked since."""
    url = near_server.url
    with (
        Process(machines.far, url, WAITS) as waits,
        Process(machines.far, url, CLAIMS) as claims,
        Process(machines.far, url, READS) as reads,
    ):
        assert [one.says() for one in (waits, claims, reads)] == ["begins"] * 3
        with Process(machines.near, url, KEEPS) as near:
            assert near.says() == "in its turn"
            waits.go_on()
            near.go_on()
            assert near.says() == "another waits"
            machines.cut()
            claims.go_on()
            reads.go_on()
            assert [one.says() for one in (waits, claims, reads)] == ["gives up"] * 3
