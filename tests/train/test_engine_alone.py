"""The engine and its tests for CUDA run where of the package's dependencies only torch and numpy are installed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from support.alone import HIDE_LIBRARIES
from support.processes import environment

ROOT = Path(__file__).parents[2]

TRAIN = """
import torch

from search.recipe.discovery import discover
from search.train.batches import Batches
from search.train.cohort import Cohort
from search.train.device import auto_width
from search.train.footprint import slot_bytes
from search.train.member import Member
from support.packs import adam, make_pack, random_data

known = discover()
slot = adam(l2=1e-3, dropout=0.2)
pack = make_pack(random_data(70, 5, 3), [slot], techniques=[known["l2"], known["dropout"]], epochs=1)
assert pack.program.engine == "torch"
width = auto_width(slot_bytes(pack.program, slot, pack.batches), pack.batches.device)
members = [Member(number, pack.program, slot | {"lr": 1e-3 * (1 + number)}, 1) for number in range(3)]
for _ in Cohort(members, pack.batches, width).advance(1):
    pass
assert all(torch.tensor(member.curves["val_loss"]).isfinite().all() for member in members)
print(len(known), "techniques")
"""


def run(program: str) -> str:
    """Return what a program prints for which the other dependencies are not installed."""
    # Other plugins of pytest import what they like.
    alone = environment(PYTEST_DISABLE_PLUGIN_AUTOLOAD="1")
    command = [sys.executable, "-c", HIDE_LIBRARIES + program]
    done = subprocess.run(command, cwd=ROOT, env=alone, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_pack_trains() -> None:
    files = [path for path in (ROOT / "objectives").glob("*.py") if path.stem != "__init__"]
    assert run(TRAIN) == f"{len(files)} techniques\n"


def test_its_tests_for_cuda_are_collected() -> None:
    options = ["-o", "addopts=", "--import-mode=importlib", "-p", "no:cacheprovider", "-q", "--collect-only"]
    found = run(f"import pytest\nsys.exit(pytest.main({[*options, 'tests/train/test_cuda.py']}))")
    assert "test_a_pack_for_which_there_is_no_room_is_split" in found
    assert "test_each_technique_agrees_with_the_cpu[dropout]" in found
