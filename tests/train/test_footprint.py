"""The memory that a slot is said to need grows with what its techniques do, by what can be worked out by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from support.data import random_data
from support.packs import adam, make_pack
from support.small_studies import small

from search.data import Data
from search.recipe.discovery import discover
from search.technique import Numeric, Technique
from search.technique.layout import padded
from search.train.batches import Batches
from search.train.device import auto_width
from search.train.footprint import estimated_slot_bytes, slot_bytes

DATA = random_data(100, 30, 3)
"""Stored widths: 32 inputs, 16 units in a hidden layer of 12, 16 outputs. A minibatch has 32 rows."""
ROW = 2 * (16 + 16)  # numbers of a row's activations and their gradients


def need(*names: str, data: Data = DATA, values: Any = None, **structure: Any) -> int:
    known = discover() | {"own": OWN}
    techniques = [known[name] for name in names]
    pack = make_pack(data, [adam(**(values or {}))], techniques=techniques, **structure)
    return slot_bytes(pack.program, pack.slots[0].values, pack.batches)


# State of its own as large as four times 1,000 numbers.
OWN = Technique(
    name="own",
    hyperparameters={"own": Numeric(neutral=0.0)},
    start=lambda values: {"own": torch.zeros(values.slots, 1000, dtype=torch.float32)},
)


def test_of_a_plain_slot_it_is_weights_moments_gradient_a_temporary_and_activations() -> None:
    size = 33 * 16 + 17 * 16
    assert need() == pytest.approx(4 * (5 * size + 40 * ROW), rel=0.02)  # the validation rows are more than a minibatch
    assert need(batch_size=100) - need(batch_size=50) == 4 * 50 * ROW
    assert need(optimizer="sgd", data=DATA) == pytest.approx(4 * (3 * size + 40 * ROW), rel=0.02)


def test_a_techniques_own_state_and_vectors_count() -> None:
    assert need("own", values={"own": 1.0}) - need() == pytest.approx(4000, abs=32)
    vectors = need("batch_norm", values={"bn_alpha": 0.1}, batch_norm=True, batch_size=64)
    plain = need(batch_size=64)
    # Weight and bias of 16 units, with moments, gradient and temporary; running mean and variance; one changed layer.
    assert vectors - plain == pytest.approx(4 * (5 * 32 + 32 + 64 * 2 * 16), abs=32)


def test_branches_count_each_by_itself_and_as_they_are_mixed() -> None:
    own = Technique(name="own", branches=lambda _number, _structure: 3, mix=lambda h, _number, _values: h.mean(0))
    batches = make_pack(DATA, [adam()]).batches
    two = [
        slot_bytes(pack.program, pack.slots[0].values, batches)
        for pack in (make_pack(DATA, [adam()], techniques=each, batch_size=64) for each in ([own], []))
    ]
    # Two more linear maps, with moments, gradient and temporary; and six times 16 activations with their gradients.
    assert two[0] - two[1] == pytest.approx(4 * (5 * 2 * 33 * 16 + 64 * 2 * 6 * 16), abs=32)


def test_encoded_inputs_have_more_weights() -> None:
    # The first rows, of which a step is tried, have fewer different values than all.
    few = DATA.x_train.round()
    tied = replace(DATA, x_train=torch.where(torch.arange(100)[:, None] < 50, few.clamp(-1, 1), few))
    embedding, data = discover()["numeric_embedding"], Batches(tied)  # not encoded yet, as a study has them
    (pack, plain) = (make_pack(tied, [adam()], techniques=techniques, bins=20) for techniques in ([embedding], []))
    added = padded(pack.program.layout.widths[0]) - 32
    assert added > 0
    more = slot_bytes(pack.program, adam(), data) - slot_bytes(plain.program, adam(), data)
    assert more == pytest.approx(4 * 5 * 16 * added, abs=32)


def test_waves_count_with_what_their_gradient_needs() -> None:
    waves = need("periodic_embedding", values={"wave_sigma": 1.0}, waves=4, batch_size=64)
    # 30 features and 120 waves are 160 stored inputs in place of 32; two vectors of 128 stored numbers.
    size = 128 * 16 + 2 * 128
    assert waves - need(batch_size=64) == pytest.approx(4 * (5 * size + 64 * 6 * 160), abs=32)
    shared = {"members": 3, "batch_size": 64}
    three = need("weight_sharing", **shared)
    three_with = need("periodic_embedding", "weight_sharing", values={"wave_sigma": 1.0}, waves=4, **shared)
    # Three factors on each input more, and the weights of each network with their gradient; the inputs of each, too.
    size += 3 * 128
    assert three_with - three == pytest.approx(4 * (5 * size + 2 * 3 * size + 64 * (6 + 2 * 3) * 160), abs=64)


def test_every_pass_of_a_step_counts() -> None:
    plain = need(batch_size=64)
    one_more = need("consistency", values={"consistency": 1.0, "sigma": 0.1}, consistency_distance="mse", batch_size=64)
    # The noisy inputs are the slot's own.
    assert one_more - plain == pytest.approx(4 * 64 * (ROW + 2 * 32), abs=32)
    noise = {"dropout": 0.5, "dropout_variance": 1.0}
    five = need("dropout", "dropout_variance", values=noise, dropout_variance_passes=5, batch_size=64)
    two = need("dropout", "dropout_variance", values=noise, dropout_variance_passes=2, batch_size=64)
    assert five - two == 3 * 4 * 64 * (ROW + 2 * 16)


def test_inputs_of_a_slots_own_count() -> None:
    plain = need(batch_size=64)
    assert need("input_dropout", values={"input_dropout": 0.5}, batch_size=64) - plain == pytest.approx(
        4 * 64 * (2 * 32 + 2 * 16), abs=32
    )


def test_a_pack_may_have_one_slot(monkeypatch: pytest.MonkeyPatch) -> None:
    cpu, gpu = torch.device("cpu"), torch.device("cuda")
    assert auto_width(2**62, cpu) == 1
    assert auto_width(1, cpu) == 64
    free = SimpleNamespace(bytes=1000)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _device: (free.bytes, 10**6))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda _device: 300)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda _device: 100)
    assert auto_width(100, gpu) == 6  # half of 1,200 bytes
    assert auto_width(601, gpu) == 1
    free.bytes = 10**9
    assert auto_width(100, gpu) == 1024


def test_a_study_counts_its_largest_slot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of its networks, minibatches, optimisers and techniques the ones that need most."""
    seen: list[tuple[str, int, str, list[str]]] = []

    def spy(program: Any, values: Any, batches: Any) -> int:
        names = [technique.name for technique in program.techniques]
        seen.append((str(program.structure["hidden"]), program.batch_size, str(program.structure["optimizer"]), names))
        return estimated_slot_bytes(program, values, batches)

    monkeypatch.setattr("search.study.width.estimated_slot_bytes", spy)
    deep = "x".join(["4"] * 17)  # in store 272 units, but fewer parameters than 256 units in one layer
    choices = {
        "hidden": {"choices": ["8", "256", deep]},
        "batch_size": {"choices": [16, 64, 32]},
        "optimizer": {"choices": ["sgd", "adam", "adagrad"]},
        "dropout": {"choices": [0.5, 0.0]},
    }
    techniques = {"techniques": ["l2", "dropout"], "set": {"epochs": 1, "l2": 0.0}}
    study = small(tmp_path, space=choices, **techniques)
    assert 1 <= study.width <= 64
    assert seen == [("256", 64, "adam", ["dropout"]), (deep, 64, "adam", ["dropout"])]
    assert study.width
    assert len(seen) == 2
    rows = [{"set": {"dropout": 0.5}}, {"set": {"l2": 1e-3, "hidden": "8"}}, {"set": {}}]
    seen.clear()
    listed = small(tmp_path, storage="listed.db", name="listed", settings=rows, space={}, **techniques)
    assert listed.width
    assert [one[3] for one in seen] == [["dropout"], ["l2"], []]
