"""A schedule scales what it names in every path of training, by the equations; what it cannot scale is refused."""

from __future__ import annotations

import math
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from support.data import random_data
from support.packs import adam, make_pack, needs_kernels, train_pack
from support.small_studies import Quiet, small

from search.errors import RequestError
from search.recipe.discovery import discover
from search.technique import Numeric, Technique
from search.train import at_once
from search.train.pack import Pack
from search.train.values import TechniqueValues

SCHEDULE = discover()["schedule"]
EQUATIONS = {
    "linear": lambda t: 1 - t,
    "cosine": lambda t: (1 + math.cos(math.pi * t)) / 2,
    "flat_cosine": lambda t: math.cos((max(1, 2 * t) - 1) * math.pi) / 2 + 0.5,
    "coslog4": lambda t: 0.5 * (1 - math.cos(2 * math.pi * math.log2(1 + 15 * t))),
}


@pytest.mark.parametrize("shape", EQUATIONS)
def test_the_factor_follows_its_equation_over_a_whole_training(shape: str) -> None:
    structure = {"schedule": shape, "scheduled": "l2+mine", "epochs": 9}
    moment: Any = SimpleNamespace(structure=structure, slots=3, device=torch.device("cpu"), dtype=torch.float64)
    values = TechniqueValues("schedule", moment)
    assert SCHEDULE.schedule is not None
    for step in range(63):
        factors = SCHEDULE.schedule(step, 7, values)
        assert set(factors) == {"l2", "mine"}
        for factor in factors.values():
            assert factor.tolist() == pytest.approx([EQUATIONS[shape](step / 63)] * 3, abs=1e-12)


def scheduled(
    *techniques: Technique, slots: list[dict[str, float]], dtype: Any = torch.float32, **structure: Any
) -> Pack:
    return make_pack(
        random_data(100, 13, 3), slots, techniques=[*techniques, SCHEDULE], dtype=dtype, schedule="linear", **structure
    )


@needs_kernels
@pytest.mark.parametrize(("names", "together"), [("dropout", True), ("l2", False), ("dropout+weight_decay", False)])
def test_steps_at_once_have_the_bits_of_single_steps(
    names: str, together: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Kernels that take many steps read gates anew in each, but penalties and optimiser once: those go step by step."""
    techniques = [discover()["dropout"], discover()["l2"]]
    slots = [adam(dropout=p, l2=1e-3, weight_decay=0.1) for p in (0.5, 0.2)]
    served = []

    def noted(*given: Any, serves: Any = at_once.serves) -> bool:
        served.append(serves(*given))
        return served[-1]

    monkeypatch.setattr(at_once, "serves", noted)
    many = train_pack(scheduled(*techniques, slots=slots, scheduled=names), 2)
    assert served == [together]
    monkeypatch.setattr(at_once, "serves", lambda *_: False)
    single = train_pack(scheduled(*techniques, slots=slots, scheduled=names), 2)
    for slot in range(2):
        for (name, one), other in zip(many.weights(slot).items(), single.weights(slot).values(), strict=True):
            assert torch.equal(one, other), name


def test_a_strength_of_ones_own_is_scheduled_like_one_of_the_package() -> None:
    own = Technique(
        name="lasso",
        hyperparameters={"lasso": Numeric(low=1e-7, high=1e-2, minimum=0.0, neutral=0.0, stronger="up")},
        penalty=lambda weights, values: values["lasso"] * weights.abs().sum(1),
    )
    mine = train_pack(scheduled(own, slots=[adam(lasso=0.01)], scheduled="lasso", dtype=torch.float64))
    theirs = train_pack(
        scheduled(discover()["l1"], slots=[adam(l1=0.01)], scheduled="l1", dtype=torch.float64), epochs=3
    )
    for one, other in zip(mine.curves, theirs.curves, strict=True):
        for name in one:
            assert one[name].item() == pytest.approx(other[name].item(), rel=1e-9), name


@pytest.mark.parametrize(
    ("fixed", "says"),
    [
        ({"scheduled": "momentum"}, "scheduled takes strengths of this study (weight_decay, l2), got 'momentum'"),
        ({"scheduled": "dropout"}, "scheduled takes strengths of this study (weight_decay, l2), got 'dropout'"),
        ({"scheduled": "l2+weight_decay"}, "scheduled names weight_decay, which is 0 in every trial: give it a value"),
        ({"scheduled": "l2,dropout"}, "scheduled: takes names of hyperparameters joined by '+', each once, such as"),
        ({"scheduled": "l2+l2"}, "joined by '+', each once, such as dropout+weight_decay, got 'l2+l2'"),
        ({"scheduled": "l2", "schedule": "flat_cos"}, "unknown value of schedule 'flat_cos'"),
    ],
)
def test_what_cannot_be_scheduled_is_refused(tmp_path: Path, fixed: dict[str, Any], says: str) -> None:
    with pytest.raises(RequestError, match=re.escape(says)):
        small(tmp_path, techniques=["l2", "schedule"], set=fixed)


def test_a_study_searches_the_shape(tmp_path: Path) -> None:
    """A trial whose schedule is constant trains without the technique."""
    settings = [
        {"set": {"dropout": p, "schedule": shape}} for p, shape in ((0.5, "linear"), (0.5, "constant"), (0.0, "cosine"))
    ]
    study = small(
        tmp_path,
        techniques=["dropout", "schedule"],
        settings=settings,
        space={},
        set={"epochs": 3, "hidden": "16", "batch_size": 50},
        trials=3,
    ).run(observers=[Quiet()])
    values = study.trials()["value"]
    assert len(set(values)) == 3
    programs = [study.program(study.space.complete(cell) or {}) for cell in study.space.settings]
    assert ["schedule" in [one.name for one in program.techniques] for program in programs] == [True, False, True]
