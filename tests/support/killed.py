"""Run commands that die where a test says: by a signal at the n-th call of a function, not after some time.

`Commands` starts a process that has imported everything, and that forks each command: otherwise 200 kills would take
200 times the imports. A fork runs `search.run.main` in a session of its own, as from a shell. The MLflow writer is
forked too, before the command has opened anything. `killing.py` wraps the functions; the package itself is unchanged.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from support.waiting import until

ROOT = Path(__file__).resolve().parents[2]

PLACES = {
    # Functions that the command calls.
    "a study's creation": "optuna.storages:RDBStorage.create_new_study",
    "a study's attribute": "optuna.storages:RDBStorage.set_study_user_attr",
    "an ask": "optuna.study:Study.ask",
    "a queued trial": "optuna.study:Study.enqueue_trial",
    "an asked trial": "optuna.storages:RDBStorage.create_new_trial",
    "a parameter": "optuna.trial:Trial.suggest_float",
    "a trial's attribute": "optuna.storages:RDBStorage.set_trial_user_attr",
    "a report": "optuna.storages:RDBStorage.set_trial_intermediate_value",
    "a tell": "optuna.storages:RDBStorage.set_trial_state_values",
    "a transaction": "sqlalchemy.engine.default:DefaultDialect.do_commit",
    "an epoch": "search.train.pack:Pack.begin_epoch",
    "a compaction": "search.train.pack:Pack.regroup",
    "a compacted tensor": "torch:Tensor.index_copy_",
    "an observer's turn": "search.study.progress:EpochCount.told",
    "the word to the writer": "search.tracking.mirror:MlflowMirror.told",
    "the drain": "search.tracking.link:WriterLink.close",
    "the results": "search.study.results:outcome",
    # Functions that the writer calls.
    "a logged batch": "mlflow:MlflowClient.log_batch",
    "a new run": "mlflow:MlflowClient.create_run",
    "a run's end": "mlflow:MlflowClient.set_terminated",
    "the writer's transaction": "sqlalchemy.engine.default:DefaultDialect.do_commit",
    "a column of MLflow's tables": "alembic.ddl.impl:DefaultImpl.add_column",
}
WRITERS = ("a logged batch", "a new run", "a run's end", "the writer's transaction", "a column of MLflow's tables")


@dataclass(frozen=True)
class Kill:
    """Where and how a command dies.

    Attributes:
        place: a key of `PLACES`.
        count: the number of the call, from 1.
        after: whether the signal comes once the call has returned, instead of before the call.
        whom: the victims: "all" (the command and its writer), "command" or "writer".
        how: the signal.
        pause: seconds by which the call is longer.
    """

    place: str
    count: int
    after: bool = False
    whom: str = "all"
    how: int = signal.SIGKILL
    pause: float = 0.0

    @property
    def in_writer(self) -> bool:
        return self.place in WRITERS


@dataclass(frozen=True)
class Ended:
    """How a command has ended.

    Attributes:
        status: the exit status, or minus the number of the signal that has ended the command.
        seconds: the seconds that the command took.
        struck: the number of kills that have struck.
        since: the seconds from the last kill to the end.
        out: the command's stdout.
        err: the command's stderr.
    """

    status: int
    seconds: float
    struck: int
    since: float
    out: str
    err: str

    @property
    def killed(self) -> bool:
        return self.status == -signal.SIGKILL


class Commands:
    """The process that forks commands; it lives as long as the context."""

    def __enter__(self) -> Commands:
        environment = os.environ | {
            "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), str(ROOT / "tests"), os.environ.get("PYTHONPATH")])),
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "MLFLOW_LOGGING_LEVEL": "CRITICAL",
            "OMP_WAIT_POLICY": "PASSIVE",
        }
        self._server = subprocess.Popen(
            [sys.executable, "-m", "support.killing"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        return self

    def __exit__(self, *_: object) -> None:
        assert self._server.stdin is not None
        self._server.stdin.close()
        self._server.wait()
        assert self._server.stdout is not None
        self._server.stdout.close()

    def run(self, words: Sequence[str], folder: Path, *kills: Kill, learn: bool = False) -> Ended:
        """Run a command until it ends.

        Args:
            words: the arguments of ``python -m search.run``.
            folder: the working folder.
            kills: the kills that the command meets.
            learn: whether later commands find everything imported that this one imported.
        """
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        request = {"words": list(words), "folder": str(folder), "kills": [asdict(kill) for kill in kills]}
        print(json.dumps(request | {"learn": learn}), file=self._server.stdin, flush=True)
        answer = json.loads(self._server.stdout.readline())
        out, err = ((folder / name).read_text(encoding="utf-8") for name in ("out", "err"))
        return Ended(**answer, out=out, err=err)


def settled(folder: Path, seconds: float = 60) -> None:
    """Wait until the writers that have outlived their commands in a folder have ended.

    Raises:
        TimeoutError: A writer is still there.
    """
    until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in _writers(folder)), seconds)


def _writers(folder: Path) -> list[int]:
    noted = folder / "writers"
    return [int(pid) for pid in noted.read_text().split()] if noted.exists() else []
