"""Recipes and techniques are those beside the installed package, also where the user has folders of the same names."""

from __future__ import annotations

import importlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from search.recipe.discovery import discover
from search.storage import installed

# Prints what the user's own package holds, and where this one's technique comes from.
_BOTH = """
import json
from search.recipe import packaged
from search.recipe.discovery import discover
import objectives, objectives.mine, search
ours = discover()["l2"].penalty.__code__.co_filename
print(json.dumps([search.__file__, ours, objectives.mine.WORD, "mine" in packaged()]))
"""


@pytest.fixture(params=["checkout", pytest.param("site-packages", marks=pytest.mark.slow)])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """The folder that holds the packages: this checkout, or one with nothing else in it."""
    if request.param == "checkout":
        return installed.FOLDER
    for package in ("search", "objectives", "studies"):
        leave_out = shutil.ignore_patterns("__pycache__")
        shutil.copytree(installed.FOLDER / package, tmp_path / "site-packages" / package, ignore=leave_out)
    return tmp_path / "site-packages"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A user's folder with packages called `studies` and `objectives`."""
    folder = tmp_path / "project"
    for name in ("studies", "objectives"):
        (folder / name).mkdir(parents=True)
        (folder / name / "__init__.py").touch()
    (folder / "studies" / "mine.toml").write_text("trials = 1\n")
    (folder / "objectives" / "mine.py").write_text("WORD = 'mine'\n")
    (folder / "objectives" / "l2.py").write_text("raise SystemExit('not this one')\n")
    return folder


def python(project: Path, place: Path, *words: str) -> str:
    """What Python prints in the user's folder, which comes first on `sys.path`, with the packages in their place."""
    done = subprocess.run(
        [sys.executable, *words],
        cwd=project,
        env=os.environ | {"PYTHONPATH": str(place)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_study_runs_beside_folders_of_the_same_names(project: Path, place: Path) -> None:
    small = ("--dataset", "wine", "--trials", "1", "--epochs", "1", "--tracking-uri", "none", "--device", "cpu")
    said = json.loads(python(project, place, "-m", "search.run", "l2", *small, "--json"))
    assert said["trials"] == {"complete": 1}


def test_each_keeps_its_own(project: Path, place: Path) -> None:
    search_file, ours, word, theirs = json.loads(python(project, place, "-c", _BOTH))
    assert Path(search_file).parents[1] == place
    assert Path(ours) == place / "objectives" / "l2.py"
    assert (word, theirs) == ("mine", False)


def test_a_technique_is_the_same_object_for_who_imports_its_module() -> None:
    assert importlib.import_module("objectives.l2").technique is discover()["l2"]
