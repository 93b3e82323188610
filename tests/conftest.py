"""Fixtures of all tests; no test sends telemetry."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from search.data import Data

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
# Threads that spin while they wait make small products crawl wherever another process wants the cores.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

pytest.register_assert_rewrite("support", "reference")

_LONGEST = ("workers", "study", "tracking", "test_run.py", "test_sync.py")
_COMPILES = (
    "from search.train.compiled import warm; warm.call_each_kernel()",
    # Comparisons with plain torch train in float64.
    "from support.packs import warm_up; warm_up()",
)


def pytest_sessionstart(session: pytest.Session) -> None:
    """Compile kernels before the first test; the line that says so would stand in what some command prints."""
    from support.processes import environment

    from search.train.compiled import toolchain

    beside_others = hasattr(session.config, "workerinput")
    if not beside_others and toolchain.unavailable() is None and not toolchain.kernels_folder().exists():
        compiling = [subprocess.Popen([sys.executable, "-c", words], env=environment()) for words in _COMPILES]
        assert [process.wait() for process in compiling] == [0, 0]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with files that start processes and take long: otherwise one worker would sit alone with one at the end."""
    here = Path(__file__).parent
    items.sort(key=lambda item: item.path.relative_to(here).parts[0] not in _LONGEST)


def pytest_collection_finish() -> None:
    """Keep the garbage collector from going through thousands of tests and modules again and again."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def migrations_read_once() -> Iterator[None]:
    """Read the migrations of Optuna and MLflow once: each opening of a database would run all their files again."""
    # Tests of the engine run where neither is installed (`tests/train/test_engine_alone.py`).
    if find_spec("alembic") is None:
        yield
        return
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    of_config, read = ScriptDirectory.from_config, dict[str | None, ScriptDirectory]()

    def from_config(config: Config) -> ScriptDirectory:
        folder = config.get_main_option("script_location")
        if folder not in read:
            read[folder] = of_config(config)
        return read[folder]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ScriptDirectory, "from_config", from_config)
        yield


@pytest.fixture(scope="session")
def empty_mlflow(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an empty MLflow database, to be copied: creating one takes seconds of migrations."""
    from mlflow import MlflowClient

    path = tmp_path_factory.mktemp("mlflow") / "empty.db"
    MlflowClient(f"sqlite:///{path}").search_experiments()
    return path


@pytest.fixture
def in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Return an empty working folder, for commands that run in the test's process; restore the handler of SIGTERM."""
    monkeypatch.chdir(tmp_path)
    before = signal.getsignal(signal.SIGTERM)
    yield tmp_path
    signal.signal(signal.SIGTERM, before)


@pytest.fixture
def make_data() -> Callable[..., Data]:
    from support.data import random_data

    return random_data
