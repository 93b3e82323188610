"""What runs kernels needs Triton's interpreter, which `test_interpreter.py` turns on in a process of its own."""

from __future__ import annotations

from importlib.util import find_spec

from search.train.fused import toolchain

INTERPRETED = ["test_kernels.py", "test_projections.py", "test_training.py"]
collect_ignore = [] if toolchain.interpreted() and find_spec("triton") else INTERPRETED
