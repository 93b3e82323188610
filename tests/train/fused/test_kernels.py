"""The steps of Adam and AdamW in kernels are those of torch, with decay, penalties, rates and a copy of the weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
import torch
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from support.packs import close
from torch import Tensor

from search.train.optimisers import OPTIMISERS, Optimiser, State
from search.train.optimisers.adam import Adam

if TYPE_CHECKING:
    from search.train.fused.optimisers import FusedOptimiser

STEPS = 3


@dataclass
class Launcher:
    """What stands for a kernel, with a function of the grid that returns what launches it."""

    at: Callable[[tuple[int, ...]], Callable[..., None]]

    def __getitem__(self, grid: tuple[int, ...]) -> Callable[..., None]:
        return self.at(grid)


@dataclass
class Case:
    """An optimiser with random weights, gradients and values of each slot.

    Args:
        decays: whether there is weight decay.
        penalised: whether there are penalties; every third slot has none of the first kind.
        apart: whether each weight has a rate of its own.
        low: whether a copy of the weights in bfloat16 is written.
    """

    optimizer: str = "adam"
    slots: int = 3
    size: int = 1040
    decays: bool = False
    penalised: bool = False
    apart: bool = False
    low: bool = False
    dtype: torch.dtype = torch.float32
    values: dict[str, Tensor] = field(init=False)

    def __post_init__(self) -> None:
        self.generator = torch.Generator().manual_seed(self.size)
        # The bounds are those of the ranges that are searched; eps is large in some slots, so that it counts.
        ranges = {"beta1": (0.0, 0.99), "beta2": (0.9, 0.9999), "eps": (1e-8, 1e-2)}
        if self.decays:
            ranges["weight_decay"] = (0.0, 0.1)
        self.values = {name: low + (high - low) * self.uniform(self.slots) for name, (low, high) in ranges.items()}
        self.values["beta1"][0] = 0.0
        self.optimiser: Optimiser = OPTIMISERS[self.optimizer]({})
        self.theta = self.normal(self.slots, self.size)
        self.theta[:, ::7] = 0.0
        self.state = self.optimiser.init(self.theta, self.values)
        self.gradient = torch.zeros_like(self.theta)
        self.copy = self.theta.bfloat16() if self.low else None
        self.strengths = 0.1 * self.uniform(2, self.slots)
        self.strengths[0, ::3] = 0.0

    def uniform(self, *shape: int) -> Tensor:
        return torch.rand(*shape, generator=self.generator, dtype=torch.float64).to(self.dtype)

    def normal(self, *shape: int) -> Tensor:
        return torch.randn(*shape, generator=self.generator, dtype=torch.float64).to(self.dtype)

    def rate(self) -> Tensor:
        return 0.1 * self.uniform(self.slots, self.size if self.apart else 1)

    def fused(self) -> FusedOptimiser:
        from search.train.fused.optimisers import FusedOptimiser

        return FusedOptimiser(self.optimiser, self.theta, self.gradient, self.state, self.values, self.copy)

    def plain_step(self, theta: Tensor, state: State, gradient: Tensor, lr: Tensor, total: Tensor) -> None:
        """Take the step in torch, with the penalties by autograd."""
        if self.penalised:
            leaf = theta.clone().requires_grad_()
            penalty = self.strengths[0] * leaf.abs().sum(1) + self.strengths[1] * leaf.square().sum(1)
            penalty.sum().backward()
            assert leaf.grad is not None
            gradient = gradient + leaf.grad
            total += penalty.detach()
        self.optimiser.update(theta, gradient.clone(), state, {**self.values, "lr": lr})


def agrees(case: Case, steps: int = STEPS) -> None:
    """Assert that weights, state and the penalties' values agree after each of some steps."""
    limit = 1e-6 if case.dtype == torch.float32 else 1e-12
    theta, state = case.theta.clone(), {name: one.clone() for name, one in case.state.items()}
    fused = case.fused()
    total = torch.zeros(case.slots, dtype=torch.float64)
    expected_total = total.clone()
    for number in range(steps):
        gradient, lr = case.normal(case.slots, case.size), case.rate()
        case.plain_step(theta, state, gradient, lr, expected_total)
        case.gradient.copy_(gradient)
        if case.penalised:
            fused.penalise(case.strengths, total)
        fused.step(lr)
        assert close(case.theta, theta, limit), number
        for name in state:
            assert close(case.state[name], state[name], limit), (number, name)
        assert torch.allclose(total, expected_total, rtol=limit), number
        if case.copy is not None:
            # The interpreter cuts bits off where a GPU rounds (`test_compiling.py`).
            assert ((case.copy - case.theta).abs() <= 2**-7 * case.theta.abs()).all()


CASES: Mapping[str, Callable[[], Case]] = {
    "less than a block": lambda: Case(size=16),
    "a block": lambda: Case(size=1024),
    "several blocks and a part": lambda: Case(size=2500),
    "one slot": lambda: Case(slots=1),
    "decay": lambda: Case(decays=True),
    "AdamW": lambda: Case("adamw"),
    "AdamW, decay": lambda: Case("adamw", decays=True),
    "penalties": lambda: Case(penalised=True, size=2500),
    "AdamW, decay and penalties": lambda: Case("adamw", decays=True, penalised=True),
    "a rate for each weight": lambda: Case(apart=True, size=1100),
    "a copy": lambda: Case(low=True),
    "everything": lambda: Case("adamw", decays=True, penalised=True, apart=True, low=True, size=1100),
}


def test_slots_are_counted_some_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    from search.train.fused import kernels

    monkeypatch.setattr(kernels, "SLOTS", 2)
    agrees(Case(slots=5, size=16, dtype=torch.float64))


@pytest.mark.parametrize("name", CASES)
def test_steps_are_those_of_torch(name: str) -> None:
    agrees(CASES[name]())


@settings(max_examples=5, deadline=None, database=None, phases=[Phase.generate])
@given(
    st.sampled_from(["adam", "adamw"]),
    st.integers(1, 3),
    st.integers(1, 2100),
    *(st.booleans() for _ in range(3)),
)
def test_any_shape_to_the_last_digits(
    optimizer: str, slots: int, size: int, decays: bool, penalised: bool, apart: bool
) -> None:
    agrees(Case(optimizer, slots, size, decays, penalised, apart, dtype=torch.float64), 2)


@pytest.mark.parametrize("first", ["kernels", "torch"])
def test_each_form_goes_on_from_the_states_of_the_other(first: str) -> None:
    """So a study goes on on another device."""
    case = Case("adamw", decays=True, dtype=torch.float64)
    theta, state = case.theta.clone(), {name: one.clone() for name, one in case.state.items()}
    nowhere = torch.zeros(case.slots, dtype=torch.float64)
    fused = case.fused()
    for number in range(4):
        gradient, lr = case.normal(case.slots, case.size), case.rate()
        case.plain_step(theta, state, gradient, lr, nowhere)
        if (number < 2) == (first == "kernels"):
            case.gradient.copy_(gradient)
            fused.step(lr)
        else:
            case.plain_step(case.theta, case.state, gradient, lr, nowhere)
        assert close(case.theta, theta)


def test_launches_that_were_recorded_take_new_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a CUDA graph, which repeats launches with the addresses of the first time."""
    from search.train.fused import kernels

    recorded: list[Callable[[], object]] = []

    def recording(kernel: Any) -> Any:
        def at(grid: tuple[int, ...]) -> Callable[..., None]:
            def launch(*given: object, **named: object) -> None:
                recorded.append(lambda: kernel[grid](*given, **named))
                recorded[-1]()

            return launch

        return Launcher(at)

    monkeypatch.setattr(kernels, "advance", recording(kernels.advance))
    monkeypatch.setattr(kernels, "adam", recording(kernels.adam))
    case = Case(decays=True, penalised=True, dtype=torch.float64)
    theta, state = case.theta.clone(), {name: one.clone() for name, one in case.state.items()}
    total, lr, fused = torch.zeros(case.slots, dtype=torch.float64), case.rate(), case.fused()
    for repeated in (False, True):
        case.gradient.copy_(case.normal(case.slots, case.size))
        lr.copy_(case.rate())
        case.values = {name: value * 0.9 for name, value in case.values.items()}
        case.strengths = case.strengths * 0.5
        fused.read(case.values)
        fused.penalise(case.strengths, total)
        if repeated:
            for launch in recorded:
                launch()
        else:
            fused.step(lr)
        case.plain_step(theta, state, case.gradient, lr, torch.zeros_like(total))
        assert close(case.theta, theta)
    assert len(recorded) == 2


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
def test_a_slot_that_diverges_leaves_the_others_alone() -> None:
    calm, wild = (Case(penalised=True, dtype=torch.float64) for _ in range(2))
    wild.theta[1] = torch.inf
    for case in (calm, wild):
        fused = case.fused()
        fused.penalise(case.strengths, torch.zeros(case.slots, dtype=torch.float64))
        case.gradient.fill_(0.5)
        fused.step(torch.full((case.slots, 1), 0.1, dtype=torch.float64))
    assert not wild.theta[1].isfinite().any()
    assert torch.equal(wild.theta[[0, 2]], calm.theta[[0, 2]])


def test_only_the_optimisers_themselves_have_a_form() -> None:
    from search.train.fused.optimisers import has_form

    class Other(Adam):
        """Takes other steps."""

    assert [name for name, made in OPTIMISERS.items() if has_form(made({"nesterov": False, "centered": False}))] == [
        "adam",
        "adamw",
    ]
    assert not has_form(Other({}))
