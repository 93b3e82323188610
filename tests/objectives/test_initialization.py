"""Initialisation has the distributions of `torch.nn.init`, paired over schemes, and changes nothing else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from optuna.trial import FixedTrial, TrialState
from support.packs import adam, make_pack
from support.small_studies import Quiet, small
from torch import nn

from search.data import Data
from search.recipe.discovery import discover

MakeData = Callable[..., Data]
INPUTS, HIDDEN = 300, 200
TORCH: dict[str, Callable[[torch.Tensor, str], object]] = {
    "xavier_uniform": lambda w, _: nn.init.xavier_uniform_(w),
    "xavier_normal": lambda w, _: nn.init.xavier_normal_(w),
    "kaiming_uniform": lambda w, a: nn.init.kaiming_uniform_(w, 0.01, nonlinearity=a),
    "kaiming_normal": lambda w, a: nn.init.kaiming_normal_(w, 0.01, nonlinearity=a),
}


def begun(
    data: Data, scheme: str, *gains: float, activation: str = "leaky_relu", **more: str
) -> list[dict[str, torch.Tensor]]:
    """Return the weights of each slot before training."""
    slots = [adam(gain=gain) for gain in gains]
    structure = {"initialization": scheme, "activation": activation, "hidden": str(HIDDEN)} | more
    pack = make_pack(data, slots, techniques=[discover()["initialization"]], **structure)  # type: ignore[arg-type]
    return [pack.weights(slot) for slot in range(len(gains))]


@pytest.mark.parametrize("activation", ["relu", "leaky_relu", "tanh"])
@pytest.mark.parametrize("scheme", TORCH)
def test_spread_and_bounds_are_those_of_torch(make_data: MakeData, scheme: str, activation: str) -> None:
    """With 60,000 draws each, the SDs of two samples of one distribution are within 1.5% of each other."""
    ours = begun(make_data(20, INPUTS, 3), scheme, 1.0, activation=activation)[0]
    theirs = torch.empty(HIDDEN, INPUTS)
    torch.manual_seed(0)
    TORCH[scheme](theirs, activation)
    assert ours["0.weight"].shape == theirs.shape
    assert ours["0.weight"].std().item() == pytest.approx(theirs.std().item(), rel=0.015)
    assert abs(ours["0.weight"].mean().item()) < 0.02 * theirs.std().item()
    if scheme.endswith("uniform"):
        assert ours["0.weight"].abs().max().item() == pytest.approx(theirs.abs().max().item(), rel=1e-3)
    else:
        assert ours["0.weight"].abs().max() > 3.5 * theirs.std()
    assert not ours["0.bias"].any()
    assert not ours["2.bias"].any()


def test_gain_scales_and_schemes_are_paired(make_data: MakeData) -> None:
    data = make_data(20, 30, 3)
    default = begun(data, "default", 1.0, 2.0)
    for layer in ("0", "2"):
        assert torch.equal(default[1][f"{layer}.weight"], 2 * default[0][f"{layer}.weight"])
        assert torch.equal(default[1][f"{layer}.bias"], default[0][f"{layer}.bias"])
        assert default[0][f"{layer}.bias"].all()
        for scheme in TORCH:
            one, half = begun(data, scheme, 1.0, 0.5)
            assert torch.equal(one[f"{layer}.weight"], 2 * half[f"{layer}.weight"])
            ranks = [w[f"{layer}.weight"].flatten().double() for w in (one, default[0])]
            assert (ranks[0][ranks[1].argsort()].diff() >= 0).all(), "the order of the unit draws"


def test_vectors_of_other_techniques_are_left_alone(make_data: MakeData) -> None:
    known = discover()
    pack = make_pack(
        make_data(20, 13, 3),
        [adam(gain=3.0, bn_alpha=0.1)],
        hidden="12",
        batch_norm=True,
        initialization="kaiming_normal",
        techniques=[known["batch_norm"], known["initialization"]],
    )
    weights = pack.weights(0)
    assert torch.equal(weights["2.weight"], torch.ones(12))
    assert torch.equal(weights["2.bias"], torch.zeros(12))


def test_a_scheme_with_its_gain_fixed_at_one_still_has_a_gain(tmp_path: Path) -> None:
    """The gain is neutral then, but the scheme makes the technique active, so the gain is there."""
    changes = {"techniques": ["initialization"], "trials": 2, "sampler": "random", "space": {}}
    fixed = {"epochs": 1, "hidden": "16", "gain": 1.0}
    study = small(tmp_path, **changes, set=fixed).run(observers=[Quiet()])
    assert [trial.state for trial in study.optuna_study.trials] == [TrialState.COMPLETE] * 2
    values = study.space.suggest(FixedTrial({"initialization": "default"}))
    assert "gain" not in study.numeric(values)
