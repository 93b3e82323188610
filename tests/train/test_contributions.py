"""What blocks of rows contribute to objectives: against plain loops over epochs, parts and rows, and scikit-learn."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from sklearn import metrics as sklearn_metrics
from support.data import random_data
from support.packs import adam, make_pack

from search.data import Data, Scaling
from search.recipe.discovery import discover
from search.statistics.crossed import Floats
from search.train import evaluate
from search.train.contributions import Blocks, contributions
from search.train.metrics.built_in import METRICS
from search.train.metrics.objective import BUILT_IN
from search.train.pack import Pack, Slot

EPOCHS = 12


def data_of(validation: int, *, weighted: bool = False, task: str = "classification") -> Data:
    """Return random data with so many validation rows, at the end of those for training."""
    made = random_data(80 + validation, 5, 3, task=task)
    cut: dict[str, Any] = {
        "x_train": made.x_train[:80],
        "y_train": made.y_train[:80],
        "x_val": made.x_train[80:],
        "y_val": made.y_train[80:],
    }
    if weighted:
        weights = torch.rand(80 + validation, generator=torch.Generator().manual_seed(1)) + 0.1
        cut |= {"w_train": weights[:80], "w_val": weights[80:], "w_test": torch.ones(len(made.x_test))}
    return replace(made, **cut)


def pack_of(
    data: Data, slots: Sequence[Mapping[str, float]], objective: str = "val_loss", **options: Any
) -> tuple[Any, Any, Sequence[Slot]]:
    """Return the program, the data and the slots of `contributions`."""
    options = {"epochs": EPOCHS, "optimizer": "sgd", **options}
    pack = make_pack(data, slots, **options)
    metrics = (METRICS[objective],) if objective in METRICS and objective != data.metric else ()
    return replace(pack.program, objective=BUILT_IN[objective], metrics=metrics), pack.batches, pack.slots


def found_of(program: Any, batches: Any, slots: Sequence[Slot]) -> dict[tuple[int, int], Floats]:
    return {(one.trial, one.replicate): one.values for one in contributions(program, batches, slots) if one is not None}


def by_epochs(
    program: Any, batches: Any, slot: Slot, measure: Callable[[torch.Tensor, torch.Tensor], Sequence[float]]
) -> list[Sequence[float]]:
    """Train a slot alone until it stops, and return what `measure` says of its rows' losses and scores, by epoch."""
    pack = Pack(program, batches, [slot])
    found = []
    for _ in range(program.epochs):
        pack.run_epoch()
        predictions = pack.predict(batches.x_val)
        loss, score = evaluate.per_example(program, batches, predictions, batches.validation.values)
        found.append(measure(loss[0], score[0]))
        if pack.stopped:
            break
    return found


def at_the_best_elsewhere(by_epoch: Sequence[Sequence[float]], blocks: Blocks, *, lowest: bool) -> list[float]:
    """Return each block's contribution at the epoch that is the best one on the other parts, by plain loops."""
    found = [float("nan")] * blocks.count
    for part in sorted(set(blocks.parts.tolist())):
        others = [block for block in range(blocks.count) if blocks.parts[block] != part]
        means = [sum(values[block] for block in others) / len(others) for values in by_epoch]
        best = means.index(min(means) if lowest else max(means))
        for block in range(blocks.count):
            if blocks.parts[block] == part:
                found[block] = by_epoch[best][block]
    return found


# At the higher rates, the best epoch is not the last one, and not the same one for all parts.
SLOTS = [{"lr": rate} for rate in (0.01, 1.0, 3.0)]


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("objective", ["val_loss", "val_accuracy"])
def test_a_mean_over_rows_is_that_of_the_epoch_that_other_parts_choose(objective: str, weighted: bool) -> None:
    data = data_of(25, weighted=weighted)
    program, batches, slots = pack_of(data, SLOTS, objective, replicates=(0, 3))
    found = found_of(program, batches, slots)
    assert len(found) == 6
    blocks = Blocks(25, mean=True)
    assert sorted(blocks.of_row.tolist()) == list(range(25))  # a block for each row
    weights = [1.0] * 25 if data.w_val is None else data.w_val.double().tolist()
    mean_weight = sum(weights) / 25

    def contribution(loss: torch.Tensor, score: torch.Tensor) -> list[float]:
        values = (loss if objective == "val_loss" else score).tolist()
        middle = sum(w * v for w, v in zip(weights, values, strict=True)) / sum(weights)
        of_block = [0.0] * 25
        for row in range(25):
            of_block[int(blocks.of_row[row])] = middle + weights[row] / mean_weight * (values[row] - middle)
        assert sum(of_block) / 25 == pytest.approx(middle)
        return of_block

    differ = False
    for slot in slots:
        by_epoch = by_epochs(program, batches, slot, contribution)
        expected = at_the_best_elsewhere(by_epoch, blocks, lowest=objective == "val_loss")
        assert found[slot.trial, slot.replicate] == pytest.approx(expected, rel=1e-6)
        differ |= expected not in by_epoch
    assert differ or objective == "val_accuracy"  # of some slot, not all parts have chosen the same epoch


def test_blocks_of_several_rows_have_the_objective_as_their_mean() -> None:
    rng = np.random.default_rng(0)
    values, weights = torch.from_numpy(rng.normal(1, 1, (2, 2345))), torch.from_numpy(rng.uniform(0, 2, 2345))
    blocks = Blocks(2345, mean=True)
    sizes = torch.bincount(blocks.of_row)
    assert (blocks.count, int(sizes.min()), int(sizes.max())) == (1000, 2, 3)
    assert np.bincount(blocks.parts).tolist() == [100] * 10
    found = blocks.means(values, weights)
    assert found.mean(1).tolist() == pytest.approx(np.average(values, axis=1, weights=weights).tolist(), rel=1e-12)
    assert blocks.means(values, None).mean(1).tolist() == pytest.approx(values.mean(1).tolist(), rel=1e-12)
    assert (Blocks(1999, mean=False).count, Blocks(2000, mean=False).count, Blocks(7, mean=False).count) == (50, 20, 7)


def f1(y: Floats, read: Floats, weights: Floats | None) -> float:
    return float(sklearn_metrics.f1_score(y, read.argmax(1), average="macro", sample_weight=weights))


def rmse(y: Floats, read: Floats, weights: Floats | None) -> float:
    return float(np.sqrt(sklearn_metrics.mean_squared_error(y, read, sample_weight=weights)))


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(("objective", "score"), [("val_f1", f1), ("val_rmse", rmse)])
def test_another_metric_has_the_pseudo_values_of_the_jackknife(
    objective: str, score: Callable[..., float], weighted: bool
) -> None:
    task = "classification" if objective == "val_f1" else "regression"
    data = data_of(64, weighted=weighted, task=task)
    if task == "regression":  # one target, of which scikit-learn's error is ours
        data = replace(data, y_train=data.y_train[:, :1], y_val=data.y_val[:, :1], y_test=data.y_test[:, :1], outputs=1)
        assert data.targets is not None
        data = replace(data, targets=Scaling(data.targets.shift[:1], data.targets.scale[:1]))
    loss = "cross_entropy" if task == "classification" else "mse"
    slots = [{"lr": 1.0 if task == "classification" else 0.1}]
    program, batches, ordered = pack_of(data, slots, objective, loss=loss)
    found = found_of(program, batches, ordered)
    blocks = Blocks(64, mean=False)
    assert blocks.count == 50
    of_row = blocks.of_row.numpy()
    weights = None if data.w_val is None else data.w_val.double().numpy()
    truth = evaluate.truth(batches, batches.validation.values).numpy()
    for slot in ordered:
        pack = Pack(program, batches, [slot])
        by_epoch = []
        for _ in range(EPOCHS):
            pack.run_epoch()
            read = evaluate.readable(batches, pack.predict(batches.x_val))[0].numpy()
            whole = score(truth, read, weights)
            pseudo = []
            for block in range(50):
                kept = of_row != block
                without = score(truth[kept], read[kept], None if weights is None else weights[kept])
                pseudo.append(50 * whole - 49 * without)
            by_epoch.append([one + whole - sum(pseudo) / 50 for one in pseudo])
        expected = at_the_best_elsewhere(by_epoch, blocks, lowest=objective == "val_rmse")
        # Ten of the twelve epochs are kept as candidates at a time; those left out are never the best.
        assert found[slot.trial, slot.replicate] == pytest.approx(expected, rel=1e-6)


def test_a_slot_has_the_same_bits_alone_and_packed() -> None:
    for objective in ("val_loss", "val_accuracy", "val_f1"):
        program, batches, slots = pack_of(data_of(60), SLOTS, objective, replicates=(0, 1))
        packed = found_of(program, batches, slots)
        assert len(packed) == 6
        for slot in slots:
            (alone,) = found_of(program, batches, [slot]).values()
            assert alone.tobytes() == packed[slot.trial, slot.replicate].tobytes()


@pytest.mark.parametrize("rows", [61, 1000, 2345])
def test_the_sums_of_a_slot_have_the_same_bits_in_any_company(rows: int) -> None:
    """The accuracy has many ties between epochs, which the last bits of these sums decide."""
    rng = np.random.default_rng(rows)
    right, weights = torch.from_numpy((rng.random((9, rows)) < 0.8).astype(float)), torch.from_numpy(rng.random(rows))
    blocks = Blocks(rows, mean=True)
    for given in (None, weights):
        packed = blocks.means(right, given)
        for slot in range(9):
            alone = blocks.means(right[slot, None], given)
            assert torch.equal(alone[0], packed[slot])
            assert torch.equal(blocks.elsewhere(alone)[0], blocks.elsewhere(packed)[slot])


def test_a_slot_that_diverges_has_none_and_leaves_the_others_alone() -> None:
    program, batches, slots = pack_of(data_of(25), [{"lr": 0.1}, {"lr": 1e30}, {"lr": 1.0}])
    found = found_of(program, batches, slots)
    assert {trial for trial, _ in found} == {0, 2}
    alone = found_of(program, batches, [slot for slot in slots if slot.trial == 0])
    assert found[0, 0].tobytes() == alone[0, 0].tobytes()


def test_epochs_after_a_slot_has_stopped_do_not_count() -> None:
    """One slot stops when its loss rises first, and would reach a lower one later; the other one trains on."""
    stopping = [{"lr": 3.0, "patience": 1.0, "min_delta": 0.0}, {"lr": 3.0, "patience": 1e9, "min_delta": 0.0}]
    program, batches, slots = pack_of(data_of(25), stopping, techniques=[discover()["early_stopping"]])
    found = found_of(program, batches, slots)
    blocks = Blocks(25, mean=True)

    def rows(loss: torch.Tensor, _score: torch.Tensor) -> list[float]:
        return [float(loss[row]) for row in blocks.of_row.argsort()]

    lengths = []
    for slot in slots:
        by_epoch = by_epochs(program, batches, slot, rows)
        lengths.append(len(by_epoch))
        expected = at_the_best_elsewhere(by_epoch, blocks, lowest=True)
        assert found[slot.trial, slot.replicate] == pytest.approx(expected, rel=1e-6)
    assert lengths[0] < lengths[1] == EPOCHS
    assert found[0, 0].mean() > found[1, 0].mean()


def test_it_can_be_stopped_after_each_epoch_and_ends_when_all_slots_have_stopped() -> None:
    program, batches, slots = pack_of(data_of(25), SLOTS)
    said = list(contributions(program, batches, slots))
    assert said[:EPOCHS] == [None] * EPOCHS
    assert len(said) == EPOCHS + len(SLOTS)
    stopping = [adam(3.0, patience=1.0, min_delta=0.0)]
    technique = discover()["early_stopping"]
    program, batches, slots = pack_of(data_of(25), stopping, techniques=[technique], optimizer="adam", epochs=50)
    assert len(list(contributions(program, batches, slots))) < 50
