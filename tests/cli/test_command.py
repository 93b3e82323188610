"""A command as a process: what becomes of its results where nobody reads them, and what it imports."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.marks import slow

ROOT = Path(__file__).parents[2]
FAST = ["--epochs", "1", "--trials", "2", "--hidden", "8", "--device", "cpu", "--tracking-uri", "none"]

pytestmark = pytest.mark.usefixtures("in_an_empty_folder")


def shell(script: str, *, unbuffered: bool = False) -> subprocess.CompletedProcess[str]:
    """Runs a script in which "$@" is the command."""
    words = [sys.executable, "-m", "search.run", "l2", *FAST, "--json"]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1" if unbuffered else ""}
    return subprocess.run(["bash", "-c", script, "bash", *words], env=environment, text=True, capture_output=True)


@pytest.mark.parametrize("unbuffered", [False, *slow(True)])
def test_nobody_reads_the_results(unbuffered: bool) -> None:
    done = shell('{ "$@" <&-; echo $? > status; } | exec 0<&-', unbuffered=unbuffered)
    assert Path("status").read_text() == "0\n", done.stderr
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr


def test_the_results_find_no_room() -> None:
    done = shell('"$@" > /dev/full')
    assert done.returncode == 1
    assert done.stderr.endswith("error: No space left on device\n")


def test_an_error_does_not_land_among_the_results_where_stderr_is_closed() -> None:
    done = shell('"$@" --trials many 2>&-')
    assert (done.returncode, done.stdout, done.stderr) == (2, "", "")


FORBIDDEN = ("sklearn", "pandas", "matplotlib", "mlflow", "torchvision", "jinja2")


def test_help_answers_without_torch_and_training_begins_without_what_it_does_not_need() -> None:
    source = f"""
import sys
from search import run
def loaded(names): return [name for name in names if name in sys.modules]
assert run.main(["--help"]) == 0
print(loaded(("torch", "optuna", "numpy", "sqlalchemy", *{FORBIDDEN!r})), file=sys.stderr)
from search.train.pack import Pack
train = Pack.begin_epoch
def begin_epoch(pack):
    # One write, because other threads write too.
    sys.stderr.write(str(loaded({FORBIDDEN!r})) + chr(10))
    return train(pack)
Pack.begin_epoch = begin_epoch
assert run.main({["l2", *FAST[:-2], "--timeout", "1e-9"]!r}) == 0
"""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", source], env=environment, text=True, capture_output=True)
    assert done.returncode == 0, done.stderr
    assert "--technique" in done.stdout
    said = [line for line in done.stderr.splitlines() if line.startswith("[")]
    assert len(said) >= 2
    assert set(said) == {"[]"}
