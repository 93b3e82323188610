"""The server behind `killed.Commands`: it forks commands and makes them die where a test says.

It is run as a script. It reads each request as a line of JSON from stdin, and answers with one on stdout.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import inspect
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from support.killed import PLACES, Kill

_LONGEST = 120.0  # seconds that a command may take
# Modules that the writer imports late.
_WRITER_MODULES = ("search.tracking.sync", "mlflow.store.tracking.sqlalchemy_store", "alembic.command")


def _serve() -> None:
    """Fork a process for each request on stdin, and answer on stdout how it ended."""
    import search.api
    import search.run
    import search.study.results
    import search.study.runner  # noqa: F401

    for line in sys.stdin:
        request = json.loads(line)
        if "none" not in request["words"]:
            for name in _WRITER_MODULES:
                importlib.import_module(name)
        gc.collect()
        gc.freeze()  # otherwise the child's first collection would copy every page
        struck = Path(request["folder"]) / "struck"
        struck.unlink(missing_ok=True)
        started = time.monotonic()
        child = os.fork()
        if child == 0:
            _command(request)
        status = _waited(child)
        ended = time.monotonic()
        strikes = [float(when) for when in struck.read_text().split()] if struck.exists() else []
        if request["learn"]:
            _learn(Path(request["folder"]))
        answer = {"status": os.waitstatus_to_exitcode(status), "seconds": ended - started, "struck": len(strikes)}
        print(json.dumps(answer | {"since": ended - max(strikes, default=ended)}), flush=True)


def _waited(child: int) -> int:
    """Return a child's wait status; a child that takes too long is sent SIGTERM."""
    until = time.monotonic() + _LONGEST
    while True:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            return status
        if time.monotonic() > until:
            os.kill(child, signal.SIGTERM)
            until += _LONGEST
        time.sleep(0.005)


def _learn(folder: Path) -> None:
    """Import what the processes that ran in a folder had imported when they ended."""
    for noted in folder.glob("modules-*"):
        for name in noted.read_text(encoding="utf-8").split():
            with contextlib.suppress(Exception):
                importlib.import_module(name)
        noted.unlink()


def _command(request: Mapping[str, Any]) -> None:
    """Become the command; this does not return."""
    folder = Path(request["folder"])
    os.setsid()
    os.chdir(folder)
    for number, name in ((1, "out"), (2, "err")):
        opened = os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(opened, number)
        os.close(opened)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    kills = [Kill(**kill) for kill in request["kills"]]
    learn = folder if request["learn"] else None
    from search.tracking import link

    writer = _Writer(folder, [kill for kill in kills if kill.in_writer], learn)
    forked = SimpleNamespace(Popen=writer.start, PIPE=subprocess.PIPE, DEVNULL=subprocess.DEVNULL)
    vars(link)["subprocess"] = forked
    for kill in kills:
        if not kill.in_writer:
            _arm(kill, {"all": [writer.pid, os.getpid()], "command": [os.getpid()], "writer": [writer.pid]}[kill.whom])

    import search.run

    _end(search.run.main(list(request["words"])), learn, whole=any(kill.how != signal.SIGKILL for kill in kills))


class _Writer:
    """The writer's process; it takes the place of `subprocess.Popen` in the command.

    It is forked from the command before that has opened anything, and becomes the writer when `start` is called.
    """

    def __init__(self, folder: Path, kills: Sequence[Kill], learn: Path | None) -> None:
        self._folder = folder
        reading, writing = os.pipe()
        self._lock = threading.Lock()
        self._status: int | None = None
        command = os.getpid()
        self.pid = os.fork()
        if self.pid:
            os.close(reading)
            self.stdin = os.fdopen(writing, "wb", buffering=0)
            return
        os.close(writing)
        os.dup2(reading, 0)
        os.close(reading)
        os.setsid()
        _become_writer(kills, command, learn)

    def start(self, command: Sequence[str], **_: object) -> _Writer:
        with (self._folder / "writers").open("a") as noted:
            noted.write(f"{self.pid}\n")
        self.stdin.write(json.dumps(command[3:]).encode() + b"\n")
        return self

    def wait(self) -> int:
        with self._lock:
            if self._status is None:
                self._status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
            return self._status


def _become_writer(kills: Sequence[Kill], command: int, learn: Path | None) -> None:
    """Wait for the command line (a line of JSON), then become the writer; this does not return."""
    line = b""
    while not line.endswith(b"\n"):
        byte = os.read(0, 1)
        if not byte:
            os._exit(0)  # the command has ended without a writer
        line += byte
    for kill in kills:
        _arm(kill, {"all": [command, os.getpid()], "command": [command], "writer": [os.getpid()]}[kill.whom])
    from search.tracking import writer

    _end(writer.main(json.loads(line)), learn)


def _end(status: int, learn: Path | None, *, whole: bool = False) -> None:
    """End the process. Unless the `whole` end matters, skip the interpreter's shutdown, which takes a second."""
    if learn is not None:
        (learn / f"modules-{os.getpid()}").write_text("\n".join(sys.modules), encoding="utf-8")
    if whole:
        from search.cli.command import leave

        leave(status)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def _arm(kill: Kill, victims: Sequence[int]) -> None:
    """Wrap the function of a kill: its n-th call sends the signal to the victims, in this order."""
    module, _, path = PLACES[kill.place].partition(":")
    *outer, name = path.split(".")
    owner: Any = importlib.import_module(module)
    for part in outer:
        owner = getattr(owner, part)
    original: Callable[..., Any] = getattr(owner, name)
    left = kill.count
    lock = threading.Lock()

    def strike() -> None:
        with open("struck", "a", encoding="utf-8") as noted:
            noted.write(f"{time.monotonic()}\n")
        for victim in victims:
            with contextlib.suppress(ProcessLookupError):
                os.kill(victim, kill.how)
        time.sleep(kill.pause)  # simulates a slow call

    def wrapped(*given: Any, **named: Any) -> Any:
        nonlocal left
        with lock:
            left -= 1
            now = left == 0
        if now and not kill.after:
            strike()
        result = original(*given, **named)
        if now and kill.after:
            strike()
        return result

    static = isinstance(inspect.getattr_static(owner, name), classmethod | staticmethod)
    setattr(owner, name, staticmethod(wrapped) if static else wrapped)


if __name__ == "__main__":
    _serve()
