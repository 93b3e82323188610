"""A technique from outside the package runs from its file, named by `--technique` (contract C9, docs/design.md)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from search import Study, run

OUTSIDE = Path(__file__).with_name("outside")


def test_a_study_of_a_technique_from_outside(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    storage = f"sqlite:///{tmp_path}/o.db"
    words = [
        str(OUTSIDE / "adaptive_clip.toml"),
        "--technique",
        str(OUTSIDE / "adaptive_clip.py"),
        "--dataset",
        "wine",
        "--storage",
        storage,
        "--tracking-uri",
        "none",
        "--json",
        "--pruner",
        "none",
        "--epochs",
        "40",
    ]
    assert run.main(words) == 0
    assert json.loads(capsys.readouterr().out)["trials"] == {"complete": 8}
    study = Study(
        str(OUTSIDE / "adaptive_clip.toml"),
        techniques=[OUTSIDE / "adaptive_clip.py"],
        dataset="wine",
        storage=storage,
        tracking_uri=None,
        set={"epochs": 40},
        pruner={"name": "none"},
    )
    trials, curves = study.trials(), study.curves()
    # The conditional hyperparameter exists exactly where its condition holds.
    euclidean = trials["clip_norm"] == "euclidean"
    assert euclidean.any()
    assert not euclidean.all()
    assert (trials["clip_decay"].notna() == euclidean).all()
    # A trial ends at the first epoch with a training loss below its own threshold.
    for _, trial in trials.iterrows():
        losses = curves[curves["trial"] == trial["number"]]["train_loss"].to_list()
        below = [epoch for epoch, loss in enumerate(losses, 1) if loss < trial["clip_stop"]]
        assert len(losses) == (below[0] if below else 40)
    assert curves.groupby("trial").size().min() < 40


def test_it_is_not_loaded_unless_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run.main([str(OUTSIDE / "adaptive_clip.toml"), "--storage", f"sqlite:///{tmp_path}/o.db"]) == 2
    assert "unknown technique 'adaptive_clip'" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
