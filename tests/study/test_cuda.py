"""A whole study trains on a GPU; skipped if there is none. The engine's own tests are in `tests/train/test_cuda.py`."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from support.small_studies import Quiet, small

from search import Study

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")


def test_a_study_runs_prunes_and_compacts(tmp_path: Path) -> None:
    recipe = small(tmp_path).recipe
    study = Study(recipe, storage=f"sqlite:///{tmp_path}/cuda.db", tracking_uri=None, device="cuda")
    states = {trial.state.name for trial in study.run(observers=[Quiet()]).optuna_study.trials}
    assert states == {"COMPLETE", "PRUNED"}
