"""Any two techniques train together, or the study is refused with one line that says why."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from itertools import combinations
from pathlib import Path

import optuna
import pytest
import torch

from search import Study
from search.data import Data, load
from search.errors import RequestError
from search.recipe import compose
from search.recipe.discovery import discover
from search.train.crew import one_thread
from search.train.pack import Pack, Slot

PAIRS = list(combinations(discover(), 2))
RESIDUAL = {"skip", "stochastic_depth", "shake_drop", "shake_shake"}
"""The techniques of residual blocks; the recipes of all others contain the first."""


@pytest.fixture(scope="module", autouse=True)
def few_rows() -> Iterator[None]:
    """Read data once, keep 80 rows of them, and compute with one thread: for so few, several take longer."""

    @cache
    def read(dataset: str, scale: str) -> Data:
        data = load(dataset, scale=scale)
        rows = {"x_train": data.x_train[:80], "y_train": data.y_train[:80]}
        return replace(data, **rows, x_val=data.x_val[:40], y_val=data.y_val[:40])

    with pytest.MonkeyPatch.context() as patch, one_thread():
        patch.setattr(compose, "load", lambda dataset, *, scale, **_others: read(dataset, scale))
        yield


def trained(study: Study, pair: set[str]) -> list[dict[str, torch.Tensor]]:
    """Train random trials for two epochs each: two, and more until each technique of a pair has been in use.

    Return the metrics of their last epochs.
    """
    asked = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    used, last = set[str](), list[dict[str, torch.Tensor]]()
    while len(last) < 2 or not pair <= used:
        assert len(last) < 12, f"no trial trains with {pair - used}"
        values = study.space.suggest(asked.ask())
        pack = Pack(study.program(values), study.batches, [Slot(len(last), 0, study.numeric(values))])
        used |= {technique.name for technique in pack.program.techniques}
        pack.run_epoch()
        last.append(pack.run_epoch())
    return last


@pytest.fixture(scope="session")
def model_files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return model files to fine-tune by recipe: without skips, with them, and with branches; otherwise alike."""
    folder = tmp_path_factory.mktemp("model")
    recipes = {"baseline": {}, "skip": {"skip": True}, "shake_shake": {"skip": True, "shake_shake": True}}
    files = {recipe: folder / f"{recipe}.safetensors" for recipe in recipes}
    for recipe, file in files.items():
        study = Study(
            recipe,
            storage=f"sqlite:///{folder}/{recipe}.db",
            tracking_uri=None,
            trials=1,
            device="cpu",
            set={"epochs": 1, "hidden": "16x16", **recipes[recipe]},
        )
        study.run()
        study.export(file)
    return files


@pytest.mark.parametrize(("one", "other"), PAIRS, ids=["+".join(pair) for pair in PAIRS])
def test_pairs(one: str, other: str, model_files: dict[str, Path]) -> None:
    pair, skips = {one, other}, bool(RESIDUAL & {one, other})
    # Two epochs are trained, but the study has 60, because schedules and patience need a training of some length.
    settings: dict[str, object] = {"epochs": 60}
    if "architecture" not in pair:
        settings["hidden"] = "16x16"
    if skips:
        settings["skip"] = True
    if "fine_tune" in pair:
        settings["source"] = str(model_files["baseline"])
        if skips:
            settings["source"] = str(model_files["skip"])
        if "shake_shake" in pair:
            # The source has branches, so the study may not search whether to have them.
            settings |= {"source": str(model_files["shake_shake"]), "shake_shake": True}
    # Digits are pictures, which have no columns of numbers to encode.
    dataset = "wine" if "numeric_embedding" in pair and "augmentation" not in pair else "digits"
    try:
        study = Study(f"{one}+{other}", dataset=dataset, tracking_uri=None, device="cpu", set=settings)
    except RequestError as error:
        said = str(error)
        assert one in said or other in said
        assert "\n" not in said
        assert refused(one, other), f"{one}+{other}: {said}"
        return
    assert not refused(one, other)
    for measured in trained(study, pair):
        assert all(torch.isfinite(value).all() for value in measured.values())


def refused(one: str, other: str) -> bool:
    """Whether two techniques exclude each other.

    Both search one hyperparameter, the recipe of one fixes what the other computes, both are schedules of the learning
    rate, one would change what the other starts from, or one takes pictures or a network, and the other encodes columns
    of numbers.
    """
    excluded = [
        {"momentum", "optimizer"},
        {"architecture", "fine_tune"},
        {"lr_schedule", "snapshot"},
        {"fine_tune", "weight_sharing"},
    ]
    excluded += [{"architecture", residual} for residual in RESIDUAL]
    excluded += [{"numeric_embedding", other} for other in ("fine_tune", "augmentation")]
    excluded += [{"periodic_embedding", "fine_tune"}]
    return {one, other} in excluded
