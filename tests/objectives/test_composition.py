"""Any two techniques train together, or the study is refused with one line that says why."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations
from pathlib import Path

import optuna
import pytest
import torch

from search import Study
from search.errors import RequestError
from search.recipe.discovery import discover
from search.train.batches import Batches
from search.train.pack import Pack, Slot

PAIRS = list(combinations(discover(), 2))


def small(study: Study) -> Study:
    """Return the study on 80 rows of its data."""
    data = study.data
    study.data = replace(
        data, x_train=data.x_train[:80], y_train=data.y_train[:80], x_val=data.x_val[:40], y_val=data.y_val[:40]
    )
    return study


def trained(study: Study) -> list[dict[str, torch.Tensor]]:
    """Train two random trials of a study for two epochs each; return the metrics of the last epoch."""
    asked = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    batches = Batches(study.data)
    last = []
    for number in range(2):
        values = study.space.suggest(asked.ask())
        pack = Pack(study.program(values), batches, [Slot(number, 0, study.numeric(values))])
        pack.run_epoch()
        last.append(pack.run_epoch())
    return last


@pytest.fixture(scope="session")
def model_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a model file to fine-tune, from a network of the same shape on the same data."""
    folder = tmp_path_factory.mktemp("model")
    study = Study(
        "baseline",
        storage=f"sqlite:///{folder}/o.db",
        tracking_uri=None,
        trials=1,
        device="cpu",
        set={"epochs": 1, "hidden": "16x16"},
    )
    study.run()
    study.export(folder / "model.safetensors")
    return folder / "model.safetensors"


@pytest.mark.parametrize(("one", "other"), PAIRS, ids=["+".join(pair) for pair in PAIRS])
def test_pairs(one: str, other: str, model_file: Path) -> None:
    # Two epochs are trained, but the study has 60, because schedules and patience need a training of some length.
    settings: dict[str, object] = {"epochs": 60}
    if "architecture" not in (one, other):
        settings["hidden"] = "16x16"
    if "fine_tune" in (one, other):
        settings["source"] = str(model_file)
    try:
        study = Study(f"{one}+{other}", tracking_uri=None, device="cpu", set=settings)
    except RequestError as error:
        said = str(error)
        assert one in said or other in said
        assert "\n" not in said
        assert refused(one, other), f"{one}+{other}: {said}"
        return
    assert not refused(one, other)
    for measured in trained(small(study)):
        assert all(torch.isfinite(value).all() for value in measured.values())


def refused(one: str, other: str) -> bool:
    """Whether two techniques exclude each other: both search one hyperparameter, or one fixes what the other needs."""
    return {one, other} in ({"momentum", "optimizer"}, {"architecture", "fine_tune"})
