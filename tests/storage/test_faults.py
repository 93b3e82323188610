"""A disk that fills up, a database of another version: one line, status 1, and what was complete stays complete."""

from __future__ import annotations

import json
import os
import resource
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState

from search import run

WORDS = [
    "l2",
    "--dataset",
    "wine",
    "--trials",
    "24",
    "--ask-batch",
    "4",
    "--epochs",
    "4",
    "--hidden",
    "8",
    "--device",
    "cpu",
    "--tracking-uri",
    "none",
]


def command(folder: Path, *words: str, limit: int | None = None) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own, which may be kept from making any file larger than `limit` bytes."""

    def limited() -> None:
        if limit is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    return subprocess.run(
        [sys.executable, "-m", "search.run", *WORDS, *words],
        cwd=folder,
        capture_output=True,
        text=True,
        env=os.environ | {"MLFLOW_DISABLE_TELEMETRY": "true"},
        preexec_fn=limited,
        timeout=300,
        check=False,
    )


def complete(folder: Path) -> dict[int, float | None]:
    trials = optuna.load_study(study_name="l2-wine", storage=f"sqlite:///{folder}/optuna.db").trials
    return {trial.number: trial.value for trial in trials if trial.state == TrialState.COMPLETE}


@pytest.mark.slow
def test_a_disk_that_fills_up_loses_nothing_that_was_told(tmp_path: Path) -> None:
    """Optuna's tables fit, a few trials do, the rest does not; with room again the same command finishes."""
    full = command(tmp_path, "--pruner", "none", limit=900_000)
    assert full.returncode == 1, full.stderr
    assert full.stderr.splitlines()[-1].startswith("error: storage sqlite:///optuna.db failed:")
    assert "Traceback" not in full.stderr
    told = complete(tmp_path)
    assert 0 < len(told) < 24
    done = command(tmp_path, "--pruner", "none", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["trials"] == {"complete": 24}
    assert told.items() <= complete(tmp_path).items()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the database of a study, made by a process that has ended: nothing of it waits to be written."""
    folder = tmp_path_factory.mktemp("made")
    assert command(folder, "--trials", "2").returncode == 0
    return folder / "optuna.db"


@pytest.mark.usefixtures("in_an_empty_folder")
@pytest.mark.parametrize("kind", ["newer", "damaged"])
def test_a_database_that_is_not_to_be_read_is_one_line(
    tmp_path: Path, made: Path, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = Path(shutil.copy(made, tmp_path))
    if kind == "newer":
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            connection.execute("UPDATE version_info SET schema_version = 99")
            connection.execute("UPDATE alembic_version SET version_num = 'v9.0.0'")
    else:
        # Not its head, by which it is known, but a page in the middle.
        content = bytearray(path.read_bytes())
        for at in range(4096, len(content), 4096):
            content[at : at + 512] = b"\xff" * 512
        path.write_bytes(content)
    before = path.read_bytes()
    capsys.readouterr()
    assert run.main([*WORDS, "--trials", "4"]) == 1
    err = capsys.readouterr().err
    assert err.startswith("error: storage")
    assert len(err.splitlines()) == 1, err
    assert path.read_bytes() == before
