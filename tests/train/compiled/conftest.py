"""The tests of this folder call kernels; only `test_toolchain.py` runs where none can be compiled."""

from __future__ import annotations

from pathlib import Path

from search.train.compiled import toolchain

collect_ignore = (
    [path.name for path in Path(__file__).parent.glob("test_*.py") if path.name != "test_toolchain.py"]
    if toolchain.unavailable()
    else []
)
