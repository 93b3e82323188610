"""The tests of kernels for a GPU, in a process in which Triton's interpreter is on from the start."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from support.processes import environment

from search.train.fused import toolchain

HERE = Path(__file__).parent


@pytest.mark.skipif(find_spec("triton") is None, reason="Triton is not installed")
@pytest.mark.skipif(toolchain.interpreted(), reason="this is that process")
def test_kernels_pass_their_tests_in_the_interpreter() -> None:
    """`TRITON_INTERPRET=1 uv run pytest -n 0 tests/train/fused` shows what fails; `-m slow` adds every technique."""
    files = [HERE / f"test_{name}.py" for name in ("kernels", "projections", "training")]
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-n", "0", "-p", "no:cacheprovider", *map(str, files)],
        env=environment(TRITON_INTERPRET="1"),
        cwd=HERE.parents[2],
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stdout[-5000:] + ran.stderr[-2000:]
    assert " skipped" not in ran.stdout
