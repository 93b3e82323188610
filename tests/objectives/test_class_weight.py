"""Class weights agree with scikit-learn's and with torch's weighted loss, and are for classification only."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.utils.class_weight import compute_class_weight
from support.data import random_data
from support.packs import make_pack
from torch import nn

from objectives.class_weight import weights
from search import Study
from search.errors import RequestError
from search.recipe.discovery import discover


def test_balanced_is_scikit_learns_and_the_mean_over_rows_is_one() -> None:
    labels = np.repeat([0, 1, 2], [70, 25, 5])
    known = compute_class_weight("balanced", classes=np.arange(3), y=labels)
    balanced, plain, halfway = weights([70, 25, 5], torch.tensor([1.0, 0.0, 0.5]))[:, :3].numpy()
    assert balanced == pytest.approx(known)
    assert plain.tolist() == [1, 1, 1]
    assert halfway[labels].mean() == pytest.approx(1)
    assert halfway[2] / halfway[0] == pytest.approx(14**0.5)


def test_the_loss_is_torchs_with_and_without_smoothing_and_row_weights() -> None:
    data = random_data(100, 13, 3)
    mass = torch.linspace(0.1, 1.9, 100)
    for smoothing, rows in ((0.0, None), (0.2, None), (0.0, mass)):
        slots = [{"lr": 1e-30, "class_weight": strength} for strength in (0.3, 1.0)]
        used = [discover()["class_weight"]]
        if smoothing:
            slots = [slot | {"label_smoothing": smoothing} for slot in slots]
            used = [discover()["label_smoothing"], *used]
        weighted = replace(data, w_train=rows)
        pack = make_pack(weighted, slots, techniques=used, optimizer="sgd", batch_size=100, dtype=torch.float64)
        measured = pack.run_epoch()
        model = nn.Sequential(nn.Linear(13, 12), nn.LeakyReLU(), nn.Linear(12, 3)).double()
        model.load_state_dict(pack.weights(0))
        logits = model(data.x_train.double())
        sizes = torch.bincount(data.y_train, weights=rows, minlength=3).double()
        for slot, values in enumerate(slots):
            of_class = sizes ** -values["class_weight"]
            of_class = of_class / ((of_class * sizes).sum() / sizes.sum())
            loss = nn.CrossEntropyLoss(weight=of_class, label_smoothing=smoothing, reduction="none")
            expected = (loss(logits, data.y_train) * (1 if rows is None else rows)).mean()
            assert measured["train_loss"][slot].item() == pytest.approx(expected.item(), rel=1e-7)
        assert measured["val_loss"][0] == measured["val_loss"][1], "validation rows are not weighted by class"


def test_smoothing_after_weighting_keeps_the_weight_of_a_row() -> None:
    data = random_data(100, 13, 3)
    slots = [{"lr": 1e-30, "class_weight": 1.0, "label_smoothing": 0.2}]
    used = [discover()["class_weight"], discover()["label_smoothing"]]
    pack = make_pack(data, slots, techniques=used, optimizer="sgd", batch_size=100, dtype=torch.float64)
    measured = pack.run_epoch()
    model = nn.Sequential(nn.Linear(13, 12), nn.LeakyReLU(), nn.Linear(12, 3)).double()
    model.load_state_dict(pack.weights(0))
    balanced = compute_class_weight("balanced", classes=np.arange(3), y=data.y_train.numpy())
    loss = nn.CrossEntropyLoss(label_smoothing=0.2, reduction="none")(model(data.x_train.double()), data.y_train)
    expected = (torch.from_numpy(balanced)[data.y_train] * loss).mean()
    assert measured["train_loss"][0].item() == pytest.approx(expected.item(), rel=1e-12)


def test_regression_is_refused() -> None:
    with pytest.raises(RequestError, match="'class_weight': it needs classification, but 'diabetes' is regression"):
        Study("class_weight", dataset="diabetes", tracking_uri=None)
    Study("class_weight", dataset="diabetes", tracking_uri=None, set={"class_weight": 0})
