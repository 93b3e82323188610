"""Schedules agree with torch over trainings of full length; what is recorded and what is refused."""

from __future__ import annotations

import math
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from support.packs import adam, make_pack
from support.small_studies import Quiet, outcome, small
from torch.optim import lr_scheduler

from search import Study
from search.errors import RequestError
from search.recipe import Recipe
from search.recipe.discovery import discover
from search.record.curves import CURVES, Curves
from search.technique import Numeric
from search.train.values import TechniqueValues

SCHEDULE = discover()["lr_schedule"]
SCHEDULES = SCHEDULE.hyperparameters["lr_schedule"].choices  # type: ignore[union-attr]
EPOCHS, STEPS = 90, 7


def rates(schedule: str, dtype: torch.dtype = torch.float64, every: int = 1, **numbers: list[float]) -> torch.Tensor:
    """Return the factor at each step, ``steps x slots``."""
    count = len(next(iter(numbers.values())))
    given = {"warmup": [0.0] * count} | numbers
    moment: Any = SimpleNamespace(
        numeric={name: torch.tensor(values, dtype=dtype) for name, values in given.items()},
        structure={"lr_schedule": schedule, "epochs": EPOCHS},
        slots=count,
        device=torch.device("cpu"),
        dtype=dtype,
    )
    values = TechniqueValues("lr_schedule", moment)
    assert SCHEDULE.rate is not None
    return torch.stack([SCHEDULE.rate(step, STEPS, values) for step in range(0, EPOCHS * STEPS, every)])


def expected(make: Any, every: int) -> list[float]:
    """Return the rates of torch's scheduler for an optimiser with lr 1, stepped once every `every` steps."""
    optimiser = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    scheduler = make(optimiser)
    found = []
    for step in range(1, EPOCHS * STEPS + 1):
        found.append(optimiser.param_groups[0]["lr"])
        optimiser.step()
        if step % every == 0 and step < EPOCHS * STEPS:
            scheduler.step()
    return found


@pytest.mark.parametrize(("gamma", "size"), [(0.1, 30), (0.7, 7), (0.99, 1), (1.0, 5), (0.3, 89)])
def test_step_over_a_whole_training(gamma: float, size: int) -> None:
    ours = rates("step", step_gamma=[0.5, gamma], step_size=[2.0, size])[:, 1]
    theirs = expected(lambda o: lr_scheduler.StepLR(o, size, gamma), STEPS)
    assert ours.tolist() == pytest.approx(theirs, rel=1e-12)


def test_exponential_and_cosine_over_a_whole_training() -> None:
    theirs = expected(lambda o: lr_scheduler.ExponentialLR(o, 0.93), STEPS)
    assert rates("exponential", exponential_gamma=[0.5, 0.93])[:, 1].tolist() == pytest.approx(theirs, rel=1e-12)
    theirs = expected(lambda o: lr_scheduler.CosineAnnealingLR(o, EPOCHS, 0.05), STEPS)
    assert rates("cosine", eta_min_fraction=[0.0, 0.05])[:, 1].tolist() == pytest.approx(theirs, rel=1e-9)


@pytest.mark.parametrize(("first", "growth"), [(1, 1), (7, 1), (1, 2), (10, 2), (3, 5), (89, 3)])
def test_warm_restarts_over_a_whole_training(first: int, growth: int) -> None:
    optimiser = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    scheduler = lr_scheduler.CosineAnnealingWarmRestarts(optimiser, first, growth, eta_min=0.05)
    theirs = []
    for step in range(EPOCHS * STEPS):
        optimiser.step()
        epoch, within = divmod(step, STEPS)
        # torch counts cycles by a logarithm, which a fraction must not bring below the number of a new cycle.
        scheduler.step(epoch + within / STEPS if within else epoch)
        theirs.append(optimiser.param_groups[0]["lr"])
    numbers = {"restart_epochs": [2.0, first], "restart_factor": [3.0, growth], "eta_min_fraction": [0.0, 0.05]}
    assert rates("warm_restarts", **numbers)[:, 1].tolist() == pytest.approx(theirs, rel=1e-9, abs=1e-12)


def test_flat_cosine_and_coslog4_over_a_whole_training() -> None:
    """Against the equations of RealMLP, and for a flat part that is not a half."""
    shares = [step / (EPOCHS * STEPS) for step in range(EPOCHS * STEPS)]
    numbers = {"flat_fraction": [0.5, 0.0, 0.8, 1.0], "eta_min_fraction": [0.0, 0.0, 0.3, 0.0]}
    found = rates("flat_cosine", **numbers).T.tolist()
    assert found[0] == pytest.approx([math.cos((max(1, 2 * t) - 1) * math.pi) / 2 + 0.5 for t in shares], abs=1e-12)
    assert found[1] == pytest.approx([math.cos(t * math.pi) / 2 + 0.5 for t in shares], abs=1e-12)
    falling = [math.cos(max(0, t - 0.8) / 0.2 * math.pi) / 2 + 0.5 for t in shares]
    assert found[2] == pytest.approx([0.3 + 0.7 * one for one in falling], abs=1e-12)
    assert found[3] == [1.0] * len(shares)
    waves = [(1 - math.cos(2 * math.pi * math.log2(1 + 15 * t))) / 2 for t in shares]
    assert rates("coslog4", eta_min_fraction=[0.2, 0.0])[:, 1].tolist() == pytest.approx(waves, abs=1e-12)
    # It is 0 at 0, 1/15, 3/15 and 7/15 of training, and 1 in between.
    assert [wave for t, wave in zip(shares, waves, strict=True) if t in (0.0, 1 / 15, 0.2)] == pytest.approx([0] * 3)
    assert sum(a < b > c for a, b, c in zip(waves, waves[1:], waves[2:], strict=False)) == 4


@pytest.mark.parametrize("pct", [0.0, 0.001, 1 / 630, 0.25, 0.5, 0.9985, 1.0])
def test_one_cycle_over_a_whole_training(pct: float) -> None:
    def make(optimiser: torch.optim.Optimizer) -> Any:
        return lr_scheduler.OneCycleLR(
            optimiser,
            1.0,
            total_steps=EPOCHS * STEPS,
            pct_start=pct,
            div_factor=20.0,
            final_div_factor=300.0,
            cycle_momentum=False,
        )

    numbers = {"pct_start": [0.3, pct], "div_factor": [2.0, 20.0], "final_div_factor": [5.0, 300.0]}
    ours = rates("one_cycle", **numbers)[:, 1]
    # torch divides by zero if the rise has no steps; the schedule then begins at the peak.
    theirs = expected(make, 1) if pct * EPOCHS * STEPS != 1 else [1.0, *ours.tolist()[1:]]
    assert ours.tolist() == pytest.approx(theirs, rel=1e-9, abs=1e-12)


def test_warm_up_multiplies_every_schedule() -> None:
    ours = rates("exponential", exponential_gamma=[0.9, 0.9, 0.9], warmup=[0.0, 5.0, 0.1])
    rise = expected(lambda o: lr_scheduler.LinearLR(o, 1 / (5 * STEPS), total_iters=5 * STEPS - 1), 1)
    assert (ours[:, 1] / ours[:, 0]).tolist() == pytest.approx(rise, rel=1e-12)
    # A warm-up shorter than one step has no effect.
    assert torch.equal(ours[:, 2], ours[:, 0])


def test_a_rate_has_the_same_bits_at_any_place() -> None:
    """In float32, as in training, 37 slots have the factors that each has alone (doubled, as in a pack)."""
    drawn = torch.rand(6, 37, generator=torch.Generator().manual_seed(0))
    numbers = {
        "step": {"step_gamma": 0.1 + 0.8 * drawn[0], "step_size": (1 + 40 * drawn[1]).floor()},
        "exponential": {"exponential_gamma": 0.9 + 0.1 * drawn[0]},
        "cosine": {"eta_min_fraction": drawn[0]},
        "one_cycle": {"pct_start": drawn[0], "div_factor": 1 + 50 * drawn[1], "final_div_factor": 1 + 1e4 * drawn[2]},
        "warm_restarts": {
            "restart_epochs": (1 + 20 * drawn[0]).floor(),
            "restart_factor": (1 + 3 * drawn[1]).floor(),
            "eta_min_fraction": drawn[2],
        },
        "flat_cosine": {"flat_fraction": drawn[0], "eta_min_fraction": drawn[1]},
        "coslog4": {"eta_min_fraction": drawn[0]},
    }
    for schedule, own in numbers.items():
        given = {name: values.tolist() for name, values in (own | {"warmup": 10 * drawn[5]}).items()}
        whole = rates(schedule, torch.float32, 29, **given)
        assert whole.dtype == torch.float32
        for slot in range(37):
            alone = rates(schedule, torch.float32, 29, **{name: [values[slot]] * 2 for name, values in given.items()})
            assert torch.equal(alone[:, 0], whole[:, slot]), (schedule, slot)


@pytest.mark.parametrize("schedule", [name for name in SCHEDULES if name != "reduce_on_plateau"])
def test_the_neutral_numbers_of_a_schedule_leave_the_rate_alone(schedule: str) -> None:
    own = {
        name: one.neutral if one.neutral is not None else one.fixed
        for name, one in SCHEDULE.hyperparameters.items()
        if isinstance(one, Numeric) and schedule in one.when.get("lr_schedule", (schedule,))
    }
    found = rates(schedule, **{name: [float(value)] for name, value in own.items() if value is not None})
    assert torch.equal(found, torch.ones_like(found))


def test_a_plateau_is_the_slots_own(make_data: Any) -> None:
    """The rate of a slot whose loss explodes is reduced; its neighbour's rate is not."""
    values = {"plateau_factor": 0.5, "plateau_patience": 1.0, "plateau_threshold": 0.0, "warmup": 0.0}
    slots = [adam(1e-3, **values), adam(0.5, **values)]
    pack = make_pack(make_data(100, 13, 3), slots, techniques=[SCHEDULE], lr_schedule="reduce_on_plateau", epochs=8)
    curves = [pack.run_epoch() for _ in range(8)]
    for slot, lr in enumerate((1e-3, 0.5)):
        plain = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=lr)
        theirs = lr_scheduler.ReduceLROnPlateau(plain, factor=0.5, patience=1, threshold=0.0, eps=0.0)
        for epoch in curves:
            assert epoch["lr"][slot].item() == pytest.approx(plain.param_groups[0]["lr"], rel=1e-6)
            theirs.step(epoch["val_loss"][slot].item())
    assert curves[-1]["lr"][0] == pytest.approx(1e-3)
    assert curves[-1]["lr"][1] < 0.3


def test_the_rate_is_recorded_where_it_changes_and_slots_change_nothing(tmp_path: Path) -> None:
    changes: dict[str, Any] = {
        "techniques": ["lr_schedule"],
        "settings": [{"set": {"lr_schedule": schedule}} for schedule in SCHEDULES],
        "set": {
            "epochs": 6,
            "hidden": "16",
            "batch_size": 50,
            "step_size": 2,
            "plateau_patience": 1,
            "restart_epochs": 2,
        },
        "space": {},
        "replicates": 2,
        "trials": len(SCHEDULES),
    }
    study = small(tmp_path, storage="wide.db", **changes).run(observers=[Quiet()])
    assert outcome(small(tmp_path, storage="narrow.db", slots=2, **changes).run(observers=[Quiet()])) == outcome(study)
    for trial in study.optuna_study.trials:
        curves = Curves.decode(trial.user_attrs[CURVES])
        assert ("lr" in curves.metrics) == (trial.params["lr_schedule"] != "constant")
        if trial.params["lr_schedule"] == "cosine":
            assert (curves.of("lr")[:, 1:] < curves.of("lr")[:, :-1]).all()


@pytest.mark.parametrize(
    ("fixed", "says"),
    [
        ({"lr_schedule": "step", "step_size": 6}, "step_size must be < epochs (6), got 6"),
        ({"lr_schedule": "reduce_on_plateau", "plateau_patience": 9}, "plateau_patience must be < epochs (6), got 9"),
        ({"lr_schedule": "warm_restarts", "restart_epochs": 6}, "restart_epochs must be < epochs (6), got 6"),
        ({"lr_schedule": "cosine", "flat_fraction": 0.5}, "flat_fraction exists only where lr_schedule is flat_cosine"),
        ({"lr_schedule": "constant", "warmup": 7.5}, "warmup must be <= epochs (6), got 7.5"),
        ({"lr_schedule": "cosine", "step_size": 3}, "step_size exists only where lr_schedule is step"),
    ],
)
def test_what_could_only_begin_after_the_end_is_refused(tmp_path: Path, fixed: dict[str, Any], says: str) -> None:
    space = {"lr": {"low": 1e-3, "high": 1e-1, "log": True}}
    with pytest.raises(RequestError, match=re.escape(says)):
        small(tmp_path, techniques=["lr_schedule"], set={"epochs": 6} | fixed, space=space)


def test_the_recipe_may_be_short(tmp_path: Path) -> None:
    """A range that goes beyond a short training is accepted if it begins within it."""
    recipe = Recipe.load("lr_schedule").but("test", set={"epochs": 10})
    study = Study(recipe, storage=f"sqlite:///{tmp_path}/study.db", tracking_uri=None, device="cpu")
    assert study.space.longest() == 10


def test_a_study_searches_the_later_schedules_only_if_it_names_them(tmp_path: Path) -> None:
    """A study of the technique searches what it did when it had no others; a study may name any of them."""
    usual = small(tmp_path, techniques=["lr_schedule"], set={"epochs": 40}, space={}).space.possible("lr_schedule")
    assert usual == ["constant", "step", "exponential", "cosine", "one_cycle", "reduce_on_plateau"]
    named = ["cosine", "warm_restarts", "flat_cosine", "coslog4"]
    space = {"lr_schedule": {"choices": named}, "restart_epochs": {"low": 5, "high": 20}}
    study = small(tmp_path, techniques=["lr_schedule"], set={"epochs": 40}, space=space)
    assert study.space.possible("lr_schedule") == named
    assert study.space.possible("restart_epochs") == [5, 20]
