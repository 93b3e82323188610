"""Commands that are printed work where they are typed: with uv, in an active environment, by a path."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from search.cli import child, invocation

ROOT = Path(__file__).parents[2]


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The programs of a project's environment that is neither active nor run by uv; the project is the folder."""
    programs = tmp_path / "project" / ".venv" / "bin"
    programs.mkdir(parents=True)
    (tmp_path / "project" / "pyproject.toml").touch()
    for name in ("python", "regsearch", "mlflow"):
        (programs / name).write_text("#!/bin/sh\n")
        (programs / name).chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(programs / "python"))
    monkeypatch.setattr(sys, "prefix", str(programs.parent))
    monkeypatch.setitem(sys.modules, "__main__", SimpleNamespace(__spec__=None))
    monkeypatch.setenv("PATH", "/usr/bin")
    for name in ("UV", "UV_RUN_RECURSION_DEPTH", invocation.STARTED):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path / "project")
    return programs


def by_uv(programs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What `uv run` sets for its child."""
    monkeypatch.setenv("UV", "/usr/bin/uv")
    monkeypatch.setenv("UV_RUN_RECURSION_DEPTH", "1")
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")


def test_an_active_environment_needs_no_prefix(environment: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{environment}:/usr/bin")
    assert invocation.command("sync", "it's") == """regsearch sync 'it'"'"'s'"""
    assert invocation.script("mlflow") == "mlflow"
    by_uv(environment, monkeypatch)  # `uv run` in an active environment: the shell has it too
    assert invocation.script("mlflow") == "mlflow"


def test_under_uv_run_a_command_begins_with_it(environment: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    by_uv(environment, monkeypatch)
    assert invocation.command("sync") == "uv run regsearch sync"
    assert invocation.script("mlflow") == "uv run mlflow"
    (environment.parents[1] / "below").mkdir()
    monkeypatch.chdir("below")
    assert invocation.script("mlflow") == "uv run mlflow"
    monkeypatch.chdir("/")
    assert invocation.script("mlflow") == f"uv run --project {environment.parents[1]} mlflow"


def test_an_environment_that_the_shell_does_not_know_is_named_by_its_path(
    environment: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert invocation.command("sync") == ".venv/bin/regsearch sync"
    monkeypatch.chdir("/")
    assert invocation.script("mlflow") == str(environment / "mlflow")
    (environment / "mlflow").unlink()
    assert invocation.script("mlflow") == f"{environment / 'python'} -m mlflow"


def test_a_tool_that_is_linked_from_elsewhere_is_on_the_path(
    environment: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As pipx and `uv tool install` do it, which link no program but the package's own."""
    (tmp_path / "local").mkdir()
    (tmp_path / "local" / "regsearch").symlink_to(environment / "regsearch")
    monkeypatch.setenv("PATH", f"{tmp_path}/local:/usr/bin")
    assert invocation.command("list") == "regsearch list"
    assert invocation.script("mlflow") == ".venv/bin/mlflow"


def test_python_m_is_answered_by_python_m(environment: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "__main__", SimpleNamespace(__spec__=SimpleNamespace(name="search.run")))
    assert invocation.command("sync") == ".venv/bin/python -m search.sync"
    monkeypatch.setenv("PATH", f"{environment}:/usr/bin")
    assert invocation.command("sync") == "python -m search.sync"
    monkeypatch.setenv("PATH", "/usr/bin")
    by_uv(environment, monkeypatch)
    assert invocation.command("sync") == "uv run python -m search.sync"
    # A child is a module of ours too, whatever was typed.
    monkeypatch.setenv(invocation.STARTED, "uv run regsearch")
    assert invocation.command("sync") == "uv run regsearch sync"


def test_a_child_is_ours_where_the_user_has_a_search_py(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "search.py").write_text("raise SystemExit('somebody else')")
    (tmp_path / "helper.py").write_text("")
    code = [sys.executable, "-m", "search.tracking.writer", "--help"]
    done = subprocess.run(code, env=child.environment(), text=True, capture_output=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert "--tracking-uri" in done.stdout
    # Where this process looks in the folder, its child does, too, for what a technique's file imports.
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    assert (
        subprocess.run([sys.executable, "-c", "import helper, search.errors"], env=child.environment()).returncode == 0
    )
