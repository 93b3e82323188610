"""What runs as commands of its own: the tests for CUDA, and a whole study."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from gpu_section import Section

ROOT = Path(__file__).resolve().parents[1]
_STUDY_NEEDS = ("optuna", "mlflow", "pydantic", "sqlalchemy", "typer")
_MESSAGE, _PRINTED = 500, 4000  # characters
_LAST = 3.0  # seconds that are left to write what was found


def tests(section: Section) -> None:
    """Run the tests for CUDA by pytest."""
    if find_spec("pytest") is None:
        section.tell(status="not run: pytest is not installed")
        return
    found = sorted(path.relative_to(ROOT) for path in (ROOT / "tests").rglob("test_cuda*.py"))
    found.sort(key=lambda path: path.parts[1] != "train")  # the engine's come first
    for path in found:
        # A study needs more than torch.
        if path.parts[1] == "study" and (missing := _missing()):
            section.row({"file": str(path)}, partial(dict, status=missing))
        else:
            section.row({"file": str(path)}, partial(_tested, path, section))


def study(section: Section) -> None:
    """Run the command for a study, with its start-up and with tracking."""
    trials, epochs = (4, 2) if section.small else (256, 200)
    what = {"command": f"regsearch run l2 --trials {trials} --set epochs={epochs} --pruner none, with MLflow"}
    if missing := _missing():
        section.row(what, partial(dict, status=missing))
    else:
        section.row(what, partial(_studied, trials, epochs, section))


def _missing() -> str:
    """Return the words for the first library that a study needs and that is not installed, or ""."""
    missing = [name for name in _STUDY_NEEDS if find_spec(name) is None]
    return f"not run: {missing[0]} is not installed" if missing else ""


def _run(words: Sequence[str], folder: Path, section: Section) -> tuple[float, subprocess.CompletedProcess[str]]:
    """Return the seconds of a Python command, and the command when it has ended.

    Raises:
        RuntimeError: the section's share of the time is used up.
    """
    environment = os.environ | {"PYTHONPATH": str(ROOT), "MLFLOW_DISABLE_TELEMETRY": "true"}
    started = time.perf_counter()
    try:
        done = subprocess.run(
            [sys.executable, *words],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=max(1.0, section.left - _LAST),
        )
    except subprocess.TimeoutExpired as late:
        printed = late.stdout.decode(errors="replace") if isinstance(late.stdout, bytes) else late.stdout or ""
        raise RuntimeError(f"it was killed after {late.timeout:.0f} s; it had printed: {printed[-_PRINTED:]}") from None
    return time.perf_counter() - started, done


def _tested(path: Path, section: Section) -> Mapping[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        written = Path(folder) / "tests.xml"
        # The options of pyproject.toml need plugins.
        words = ["-m", "pytest", "-o", "addopts=", "--import-mode=importlib", "-p", "no:cacheprovider", "-v"]
        took, done = _run([*words, f"--junitxml={written}", str(path)], ROOT, section)
        if not written.exists():
            raise RuntimeError(f"pytest has exit status {done.returncode}: {(done.stdout + done.stderr)[-_PRINTED:]}")
        cases = list(ElementTree.parse(written).iter("testcase"))
    wrong = {
        str(case.get("name")): (fault.get("message") or "")[:_MESSAGE]
        for case in cases
        for kind in ("failure", "error")
        for fault in case.iter(kind)
    }
    skipped = sum(case.find("skipped") is not None for case in cases)
    return {"passed": len(cases) - len(wrong) - skipped, "failed": wrong, "skipped": skipped, "seconds": took}


def _studied(trials: int, epochs: int, section: Section) -> Mapping[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        words = ["-m", "search.run", "l2", "--set", f"epochs={epochs}", "--trials", str(trials), "--pruner", "none"]
        took, done = _run([*words, "--device", section.device.type, "--json"], Path(folder), section)
    if done.returncode != 0:
        raise RuntimeError(f"exit status {done.returncode}: {done.stderr[-_PRINTED:]}")
    said = json.loads(done.stdout)
    if said["trials"].get("complete") != trials or said["epochs"] != trials * epochs:
        raise RuntimeError(f"{trials} trials of {epochs} epochs were to be trained, but the command says {said}")
    return {
        "seconds": took,
        "trials_per_second": trials / took,
        "best_value": said["best"]["value"],
        "epochs": said["epochs"],
    }
