"""A user's own `search`: `regsearch` works beside it, `python -m search.run` says which file is in its way."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SMALL = ["l2", "--dataset", "wine", "--trials", "2", "--epochs", "2", "--set", "hidden=8"]


def python(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *words], cwd=folder, capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize("name", ["search.py", "search/__init__.py"])
def test_the_file_that_hides_the_package_is_named(tmp_path: Path, name: str) -> None:
    file = tmp_path / name
    file.parent.mkdir(exist_ok=True)
    file.write_text("print('mine was run')\n")
    ended = python(tmp_path, "-m", "search.run", *SMALL)
    hiding = tmp_path / Path(name).parts[0]
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr == (
        f"error: {hiding} hides the package search of regsearch from python -m:"
        " run `regsearch run ...`, or rename that file\n"
    )


def test_a_users_own_modules_run_as_ever(tmp_path: Path) -> None:
    (tmp_path / "search.py").write_text("print('mine was run')\n")
    assert python(tmp_path, "-m", "search").stdout == "mine was run\n"
    (tmp_path / "search.py").unlink()
    package = tmp_path / "search"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "run.py").write_text("print('my run')\n")
    assert python(tmp_path, "-m", "search.run").stdout == "my run\n"


@pytest.mark.slow
def test_the_console_script_and_its_children_are_not_in_its_way(tmp_path: Path) -> None:
    (tmp_path / "search.py").write_text("print('mine was run')\n")
    script = Path(sys.executable).with_name("regsearch")
    words = [*SMALL, "--workers", "2"]
    ended = subprocess.run([script, "run", *words], cwd=tmp_path, capture_output=True, text=True, timeout=240)
    assert ended.returncode == 0, ended.stderr
    assert "MLflow is up to date" in ended.stderr
    assert "mine was run" not in ended.stdout + ended.stderr
