"""Monte Carlo passes agree with plain torch modules on the same draws; best networks are from their best epochs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from reference import Draws, Dropout, train
from support.packs import adam, make_pack
from torch import nn

from search.data import Data
from search.recipe.discovery import discover
from search.train.evaluate import per_example
from search.train.pack import Slot
from search.train.sampling import best_networks, monte_carlo

MakeData = Callable[..., Data]
NAMES = ("input_dropout", "dropout", "batch_norm")
SLOTS = [adam(1e-2, input_dropout=0.2, dropout=p, bn_alpha=0.3) for p in (0.4, 0.1)]


def made(data: Data, slots: list[dict[str, float]] = SLOTS, **options: Any) -> Any:
    techniques = [discover()[name] for name in NAMES if name in slots[0] or name == "batch_norm"]
    return make_pack(data, slots, techniques=techniques, batch_norm=True, **options)


def test_passes_are_those_of_torchs_modules(make_data: MakeData) -> None:
    """Dropout of inputs and units draws anew; batch normalisation uses its running estimates."""
    data, passes = make_data(100, 13, 3), 5
    pack = made(data, dtype=torch.float64)
    for _ in range(2):
        pack.run_epoch()
    draws = Draws(0, 0, torch.float64)

    def dropped(x: torch.Tensor) -> torch.Tensor:
        return x * (draws.uniform("input_dropout", "inputs", len(x), 16)[:, :13] >= 0.2) / 0.8

    for slot, values in enumerate(SLOTS):
        model, _ = train(
            data,
            widths=(13, 12, 3),
            epochs=2,
            batch_size=32,
            inputs=dropped,
            draws=draws,
            optimiser=lambda parameters: torch.optim.Adam(parameters, lr=1e-2),
            modules=lambda number, width, p=values["dropout"]: [
                Dropout(f"layer {number}", p, draws),
                nn.BatchNorm1d(width, momentum=0.3),
            ],
        )
        model.eval()
        x = data.x_val.double()
        with torch.no_grad():
            expected = [model(x)]
            for module in model:
                module.train(isinstance(module, Dropout))
            draws.epoch, draws.step = -1, 0
            for draws.forward in range(passes):
                expected.append(model(dropped(x)))
        padded = pack.batches.x_val
        ours = torch.stack([pack.predict(padded, number)[slot, :, :3] for number in (None, *range(passes))])
        assert torch.allclose(ours, torch.stack(expected), rtol=1e-9, atol=1e-12)
        assert torch.allclose(ours[1:].var(0), torch.stack(expected[1:]).var(0), rtol=1e-8, atol=1e-12)
        assert (ours[1:].var(0) > 0).all()


def test_without_dropout_nothing_varies(make_data: MakeData) -> None:
    """Without dropout, a Monte Carlo pass predicts what evaluation predicts."""
    pack = made(make_data(100, 13, 3), [adam(1e-2, dropout=p, bn_alpha=0.1) for p in (0.0, 0.5)])
    pack.run_epoch()
    still = pack.predict(pack.batches.x_val)
    passes = torch.stack([pack.predict(pack.batches.x_val, number) for number in range(3)])
    assert torch.equal(passes[:, 0], still[0].expand(3, -1, -1))
    assert (passes[:, 1, :, :3].var(0) > 0).all()


def test_sampling_leaves_training_alone(make_data: MakeData) -> None:
    """Its draws depend neither on the epochs trained nor on earlier passes."""
    data = make_data(100, 13, 3)
    sampled, quiet = made(data, replicates=(0, 3)), made(data, replicates=(0, 3))
    for _ in range(2):
        first = sampled.predict(sampled.batches.x_val, 7)
        assert torch.equal(first, sampled.predict(sampled.batches.x_val, 7))
        assert not torch.equal(first, sampled.predict(sampled.batches.x_val, 8))
        a, b = sampled.run_epoch(), quiet.run_epoch()
        assert all(torch.equal(a[name], b[name]) for name in a)
        assert all(torch.equal(sampled.state[name], quiet.state[name]) for name in quiet.state)


@pytest.mark.parametrize("patience", [None, 2])
def test_networks_are_as_they_were_at_their_best(make_data: MakeData, patience: int | None) -> None:
    """A best network has the weights and running estimates of its best epoch, which is not after a stop."""
    data, epochs = make_data(100, 13, 3), 30
    numbers = adam(0.05, dropout=0.3, bn_alpha=0.5) | ({"patience": patience, "min_delta": 0} if patience else {})
    techniques = [discover()[name] for name in ("dropout", "batch_norm", *(["early_stopping"] if patience else []))]
    options: dict[str, Any] = {"techniques": techniques, "batch_norm": True, "epochs": epochs, "replicates": (0, 1)}
    whole = make_pack(data, [numbers], **options)
    losses, weights = [], []
    for _ in range(epochs):
        losses.append(whole.run_epoch()["val_loss"])
        weights.append([whole.weights(replicate) for replicate in (0, 1)])
    curves = torch.stack(losses).T.tolist()
    found = list(
        filter(None, best_networks(whole.program, whole.batches, [Slot(0, replicate, numbers) for replicate in (0, 1)]))
    )
    for replicate, (network, loss, value) in enumerate(found):
        assert value == np.float32(loss)
        curve, best = curves[replicate], network.epoch - 1
        assert loss == curve[best] == min(curve[: best + (patience or epochs) + 1])
        for name, weight in weights[best][replicate].items():
            assert torch.equal(network.weights(0)[name], weight)
        assert network.score(network.batches.x_val, network.batches.validation)[0][0] == loss
        assert monte_carlo(network, network.batches.x_val, 3).shape == (3, 40, 3)
    assert all(network.epoch < epochs for network, _, _ in found)
    assert (min(curves[0]) < found[0][1]) == (patience is not None)


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_examples_make_up_the_score(make_data: MakeData, task: str) -> None:
    """Networks of several trials are those of each trial alone; the means of per-example losses are the scores."""
    data = make_data(100, 13, 3, task=task)
    loss = "cross_entropy" if task == "classification" else "mse"
    slots = [adam(lr) for lr in (0.1, 0.003)]
    pack = make_pack(data, slots, loss=loss, epochs=8)
    wanted = [Slot(trial, replicate, slots[trial]) for trial in (1, 0) for replicate in (5, 2)]
    found = list(filter(None, best_networks(pack.program, pack.batches, wanted)))
    assert [(one.slots[0].trial, one.slots[0].replicate) for one, _, _ in found] == [(0, 2), (0, 5), (1, 2), (1, 5)]
    for network, value, _ in found:
        ((alone, same, _),) = list(filter(None, best_networks(pack.program, pack.batches, network.slots)))
        assert (alone.epoch, same) == (network.epoch, value)
        assert torch.equal(alone.state["theta"], network.state["theta"])
        x, y = pack.batches.x_test, pack.batches.y_test
        losses, scores = per_example(pack.program, pack.batches, network.predict(x), y)
        assert losses.shape == scores.shape == (1, len(x))
        mean, read = (float(one[0]) for one in network.score(x, pack.batches.test))
        assert float(losses.mean()) == pytest.approx(mean, rel=1e-6)
        ours = scores.mean() if task == "classification" else scores.mean().sqrt()
        assert float(ours) == pytest.approx(read, rel=1e-6)
