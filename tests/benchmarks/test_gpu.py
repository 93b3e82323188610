"""`benchmarks/gpu.py` runs on a machine without a GPU, with torch and numpy alone, and writes its result as it goes."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from support.alone import HIDE_LIBRARIES
from support.processes import environment
from support.waiting import until

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.slow


def start(folder: Path, *words: str) -> subprocess.Popen[str]:
    """Start the benchmark, in a group of processes of its own; its result is `result.json`."""
    # Python imports this module when it starts, in each process of a section too.
    (folder / "sitecustomize.py").write_text(HIDE_LIBRARIES)
    command = [sys.executable, "benchmarks/gpu.py", "--device", "cpu", "--small", "--out", f"{folder}/result.json"]
    return subprocess.Popen(
        [*command, *words],
        cwd=ROOT,
        env=environment(PYTHONPATH=f"{folder}{os.pathsep}{ROOT}"),
        start_new_session=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def result(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "result.json").read_text())
    return found


def numbers(value: Any) -> Iterator[float]:
    """Yield all numbers in a row."""
    if isinstance(value, dict | list):
        for one in value.values() if isinstance(value, dict) else value:
            yield from numbers(one)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield value


def test_all_sections_that_need_no_gpu_are_measured(tmp_path: Path) -> None:
    process = start(tmp_path)
    said, _ = process.communicate()
    assert process.returncode == 0, said
    found = result(tmp_path)
    assert found["status"] == "complete"
    sections = found["sections"]
    no_gpu = "not run: no CUDA device"
    assert {name: one["status"] for name, one in sections.items()} == {
        "device": "complete",
        "tests": no_gpu,
        "engine": "complete",
        "mixed": "complete",
        "study": "complete",
        "memory": no_gpu,
    }
    assert [row["status"] for row in sections["study"]["rows"]] == ["not run: optuna is not installed"]
    for name in ("device", "engine", "mixed"):
        for row in sections[name]["rows"]:
            assert row["status"] == "measured", row
            assert all(math.isfinite(one) and one >= 0 for one in numbers(row)), row
    assert {row["precision"] for row in sections["device"]["rows"][1:]} == {"fp32", "bf16"}
    for row in sections["engine"]["rows"]:
        assert set(row["contenders"]) == {"package", "serial", "tuned", "vmap", "fused"}
        for one in row["contenders"].values():
            of_trials = sorted(one["networks"] / (200 * seconds) for seconds in one["seconds_of_an_epoch"])
            assert one["trials_per_second"]["min"] == pytest.approx(of_trials[0], rel=1e-4)
            assert one["trials_per_second"]["max"] == pytest.approx(of_trials[-1], rel=1e-4)
    assert [row["contenders"]["package"]["networks"] for row in sections["mixed"]["rows"]] == [8, 16]


def test_what_was_measured_before_a_kill_is_kept(tmp_path: Path) -> None:
    process = start(tmp_path, "--only", "device", "engine")

    def the_second_section_has_a_row() -> bool:
        return (tmp_path / "result.json").exists() and bool(result(tmp_path)["sections"]["engine"]["rows"])

    try:
        until(the_second_section_has_a_row, seconds=240)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    found = result(tmp_path)
    first, second = found["sections"]["device"], found["sections"]["engine"]
    assert (found["status"], first["status"], second["status"]) == ("running", "complete", "running")
    assert len(first["rows"]) > 5
    assert {row["status"] for row in first["rows"] + second["rows"]} == {"measured"}


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--minutes", "0"], "--minutes takes at least 1, got 0"),
        pytest.param(
            ["--device", "cuda"],
            "--device cuda: torch sees no CUDA device here; give --device cpu",
            marks=pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device"),
        ),
    ],
)
def test_wrong_options_are_refused(tmp_path: Path, words: list[str], complaint: str) -> None:
    said, _ = (process := start(tmp_path, *words)).communicate()
    assert process.returncode == 2
    assert complaint in said
    assert not (tmp_path / "result.json").exists()
