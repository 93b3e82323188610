"""Label smoothing agrees with `torch.nn.CrossEntropyLoss`, and is for classification only."""

from __future__ import annotations

import pytest
import torch
from support.data import random_data
from support.packs import make_pack
from torch import nn

from search import Study
from search.errors import RequestError
from search.recipe.discovery import discover


def test_the_loss_is_torchs() -> None:
    data = random_data(100, 13, 3)
    slots = [{"lr": 1e-30, "label_smoothing": strength} for strength in (0.1, 0.75)]
    pack = make_pack(
        data, slots, techniques=[discover()["label_smoothing"]], optimizer="sgd", batch_size=100, dtype=torch.float64
    )
    measured = pack.run_epoch()
    weights = pack.weights(0)
    model = nn.Sequential(nn.Linear(13, 12), nn.LeakyReLU(), nn.Linear(12, 3)).double()
    model.load_state_dict(weights)
    logits = model(data.x_train.double())
    for slot, values in enumerate(slots):
        expected = nn.CrossEntropyLoss(label_smoothing=values["label_smoothing"])(logits, data.y_train)
        assert measured["train_loss"][slot].item() == pytest.approx(expected.item(), rel=1e-12)
    assert measured["val_loss"][0] == measured["val_loss"][1], "validation is of the true targets"


def test_regression_is_refused() -> None:
    with pytest.raises(RequestError, match="'label_smoothing': it needs classification, but 'diabetes' is regression"):
        Study("label_smoothing", dataset="diabetes", tracking_uri=None)
    Study("label_smoothing", dataset="diabetes", tracking_uri=None, set={"label_smoothing": 0})
