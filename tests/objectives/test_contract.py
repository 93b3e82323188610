"""The contract suite runs over every technique that discovery finds (contract C4, docs/design.md).

A pack agrees with plain torch, and to the bit with a slot alone. Its exported layers predict what it does. A technique
at its neutral values is as if absent. Permuting slots permutes results, a slot that diverges leaves every other slot
bit-identical, and compaction changes nothing. A recipe, a case and a neutral value exist.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib import import_module

import pytest
import torch
from reference import train
from support.benches import BENCHES, OUTSIDE, TECHNIQUES, case_file
from support.contract import Bench, load_cases
from support.packs import TrainedPack, agree, agree_on_curves, train_pack
from torch.nn import functional as F

from search.recipe import Recipe
from search.recipe.discovery import discover
from search.recipe.space import Space
from search.technique import Numeric, Structural
from search.technique.technique import ACTING
from search.train.activations import ACTIVATIONS
from search.train.crew import one_thread
from search.train.pack import Pack


@pytest.fixture(autouse=True, scope="module")
def on_one_thread() -> Iterator[None]:
    """Train as studies do: several threads would wait for each other at the end of each small operation."""
    with one_thread():
        yield


each = pytest.mark.parametrize("one", BENCHES)


@pytest.mark.parametrize("name", TECHNIQUES)
def test_has_a_case_a_recipe_and_words(name: str) -> None:
    assert case_file(name).exists(), f"{case_file(name)} is missing"
    assert load_cases(case_file(name))
    packaged_name = name in discover()
    recipe = Recipe.load(name if packaged_name else str(OUTSIDE / f"{name}.toml"))
    assert name in recipe.techniques
    assert recipe.title
    words = import_module(f"objectives.{name}").__doc__ if packaged_name else (OUTSIDE / f"{name}.py").read_text()
    assert "Source:" in (words or ""), "the docstring names no source"
    if packaged_name:
        assert "Hyperparameters searched:" in " ".join((words or "").split()), "the docstring names no hyperparameters"
    assert TECHNIQUES[name].name == name


@pytest.mark.parametrize("name", TECHNIQUES)
def test_says_where_it_does_nothing(name: str) -> None:
    """Some value of its own turns it off, or it has no hooks and only chooses what is searched."""
    technique = TECHNIQUES[name]
    declared = technique.hyperparameters.values()
    hooks = [getattr(technique, name) for name in (*ACTING, "after_epoch", "rows", "edges")]
    if any(hook is not None for hook in hooks):
        assert any(one.neutral is not None for one in declared), "no hyperparameter has a neutral value"
    for one in declared:
        if isinstance(one, Numeric) and one.neutral is not None:
            one.validate("neutral", one.neutral)


def same_bits(one: TrainedPack, i: int, other: TrainedPack, j: int) -> None:
    for a, b in zip(one.curves, other.curves, strict=True):
        assert a.keys() == b.keys()
        for name in a:
            assert torch.equal(a[name][i], b[name][j]), name
    for (name, a), b in zip(one.weights(i).items(), other.weights(j).values(), strict=True):
        assert torch.equal(a, b), name


@pytest.mark.torch_engine
@each
def test_packed_equals_plain_torch(one: Bench) -> None:
    """Every slot of one replicate, and the last slot of another one in the same pack, are those of plain torch."""
    count = len(one.slots)
    pack = train_pack(one.pack(dtype=torch.float64, replicates=(0, 3)), one.case.epochs)
    for place, slot, replicate in [*((slot, slot, 0) for slot in range(count)), (2 * count - 1, count - 1, 3)]:
        model, curves = train(one.data, **one.plain(slot, replicate))
        stopped = [place in stops for stops in pack.stopped]
        if len(curves) < one.case.epochs:
            # The cohort takes out slots that have stopped; in a pack alone they train on, which means nothing.
            assert stopped == [epoch + 1 >= len(curves) for epoch in range(one.case.epochs)]
            agree_on_curves(pack, place, curves)
        else:
            assert not any(stopped[:-1])
            agree(pack, place, model, curves)


@each
def test_alone_and_packed_are_the_same_bits(one: Bench) -> None:
    """Every slot of the case has the same bits with other neighbours, in another place and with other threads."""
    slots = one.slots
    whole = train_pack(one.pack(), one.case.epochs)
    crowd = train_pack(one.pack([*slots[1:], *slots, *slots, slots[0]]), one.case.epochs)
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        for slot in range(len(slots)):
            same_bits(whole, slot, train_pack(one.pack([slots[slot]]), one.case.epochs), 0)
            same_bits(whole, slot, crowd, len(slots) - 1 + slot)
    finally:
        torch.set_num_threads(before)


@each
def test_plain_layers_predict_what_the_pack_does(one: Bench) -> None:
    """What a technique does in evaluation is in the layers that are exported (`Technique.affine`)."""
    trained = one.pack(dtype=torch.float64)
    for _ in range(one.case.epochs):
        trained.run_epoch()
    layout, x = trained.program.layout, trained.batches.x_val
    predicted = trained.predict(x)[:, :, : layout.widths[-1]]
    for slot in range(len(one.slots)):
        each_network = []
        for tensors in trained.plain_weights(slot):
            entering, activation = x[:, : layout.features], ACTIVATIONS[trained.program.activation].module()
            if (frequency := tensors.get("0.frequency")) is not None:
                turns = entering.repeat_interleave(layout.waves, 1) * frequency + tensors["0.phase"]
                entering = torch.cat([entering, torch.cos(2 * torch.pi * turns)], 1)
            for number in range(1, layout.layers + 1):
                start = f"{2 * number - 2}"
                if (several := sum(name.startswith(f"{start}.branches.") for name in tensors) // 2) > 0:
                    starts = [f"{start}.branches.{branch}" for branch in range(several)]
                else:
                    starts = [start]
                products = [F.linear(entering, tensors[f"{at}.weight"], tensors[f"{at}.bias"]) for at in starts]
                h = torch.stack([activation(one) if number < layout.layers else one for one in products]).mean(0)
                if (factor := tensors.get(f"{2 * number - 1}.factor")) is not None:
                    h = h * factor + tensors[f"{2 * number - 1}.shift"]
                entering = h + entering if number in trained.program.joined else h
            each_network.append(entering)
        expected = each_network[0]
        if len(each_network) > 1:
            outputs = torch.stack(each_network)
            expected = outputs.mean(0) if one.data.task == "regression" else outputs.softmax(-1).mean(0).log()
        torch.testing.assert_close(expected, predicted[slot], rtol=1e-9, atol=1e-9)


@each
def test_replicates_and_permutations(one: Bench) -> None:
    """Slots in reverse order, in a pack of two replicates, have the same results in another order."""
    slots = one.slots
    straight = [train_pack(one.pack(replicates=(replicate,)), 2) for replicate in (0, 5)]
    reverse = train_pack(one.pack(slots[::-1], replicates=(0, 5)), 2)
    for index, slot in enumerate(reverse.slots):
        same_bits(straight[slot.replicate == 5], len(slots) - 1 - slot.trial, reverse, index)


@each
def test_compaction_changes_nothing(one: Bench) -> None:
    slots = one.slots
    whole = train_pack(one.pack([*slots, *slots]), 3)
    left = one.pack([*slots, *slots])
    left.run_epoch()
    last = len(slots)
    rest = Pack.gather([left], [(0, 0), (0, last)])
    later = train_pack(rest, 2)
    for i, at in ((0, 0), (1, last)):
        for a, b in zip(later.curves, whole.curves[1:], strict=True):
            for name in a:
                assert torch.equal(a[name][i], b[name][at]), name
        for a, b in zip(later.weights(i).values(), whole.weights(at).values(), strict=True):
            assert torch.equal(a, b)


@each
def test_a_slot_that_diverges_leaves_the_others_alone(one: Bench) -> None:
    slots = one.slots
    wild = {**slots[0], "lr": 1e38}
    calm = train_pack(one.pack([*slots, slots[0]]), 3)
    mixed = train_pack(one.pack([*slots, wild]), 3)
    assert not torch.isfinite(mixed.curves[-1]["val_loss"][-1])
    for slot in range(len(slots)):
        same_bits(calm, slot, mixed, slot)


@each
def test_neutral_is_absent(one: Bench) -> None:
    """Among other slots, one at the neutral values trains as if there were no such technique."""
    neutral = one.neutral()
    if neutral is None:
        pytest.skip("no number of its own is neutral: `test_a_neutral_study_has_no_such_technique` covers it")
    with_it = train_pack(one.pack([*one.slots, *neutral], dtype=torch.float64), 2)
    absent = train_pack(one.pack(dtype=torch.float64, **one.without()), 2)
    for slot in range(len(neutral)):
        at = len(one.slots) + slot
        for a, b in zip(with_it.curves, absent.curves, strict=True):
            assert a["val_loss"][at].item() == pytest.approx(b["val_loss"][slot].item(), rel=1e-9)
            assert a["train_loss"][at].item() == pytest.approx(b["train_loss"][slot].item(), rel=1e-9)


@pytest.mark.parametrize("name", TECHNIQUES)
def test_a_neutral_study_has_no_such_technique(name: str) -> None:
    """A technique that a study fixes at its neutral values is not active."""
    technique = TECHNIQUES[name]
    neutral = {n: one.neutral for n, one in technique.hyperparameters.items() if one.neutral is not None}
    # If the technique is off, a hyperparameter whose condition requires it to be on does not exist.
    neutral = {
        n: value
        for n, value in neutral.items()
        if all(
            neutral.get(parent, allowed[0]) in allowed for parent, allowed in technique.hyperparameters[n].when.items()
        )
    }
    if not neutral:
        pytest.skip("it has no neutral values: it only chooses where to search")
    required = {
        n: one.default
        for n, one in technique.hyperparameters.items()
        if isinstance(one, Structural) and n not in neutral and one.default is not None
    }
    parents = {parent for one in technique.hyperparameters.values() for parent in one.when}
    others = [one for one in TECHNIQUES.values() if one is not technique and parents & one.hyperparameters.keys()]
    recipe = Recipe.parse({"name": "neutral", "techniques": [name], "set": {**required, **neutral}}, "test")
    space = Space.resolve(recipe, [*others, technique])
    values: Sequence[str] = tuple(space.numeric({n: v for n, v in space.fixed.items() if space.exists(n, space.fixed)}))
    structure = space.structure(dict(space.fixed))
    assert not technique.is_active(values, structure)
