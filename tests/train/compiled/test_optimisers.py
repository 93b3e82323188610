"""The compiled step of each optimiser is its `update`."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
import torch
from support.optimisers import CASES, Case
from support.packs import close
from torch import Tensor

from search.train.compiled.optimisers import CompiledOptimiser, has_form
from search.train.optimisers import OPTIMISERS, Optimiser, State
from search.train.optimisers.adam import Adam

SIZE = 53
STEPS = 20
each = pytest.mark.parametrize("case", CASES)


def start(case: Case, dtype: torch.dtype) -> tuple[Optimiser, Tensor, State, Mapping[str, Tensor], list[Tensor]]:
    """Return an optimiser, its weights, state and values, and random gradients."""
    generator = torch.Generator().manual_seed(2)
    values = {name: torch.tensor([slot[name] for slot in case.slots], dtype=dtype) for name in case.slots[0]}
    drawn = torch.randn(STEPS + 1, len(case.slots), SIZE, generator=generator, dtype=torch.float64)
    theta, *gradients = drawn.to(dtype)
    optimiser = OPTIMISERS[case.optimizer]({"nesterov": False, "centered": False} | case.structure)
    return optimiser, theta.clone(), optimiser.init(theta, values), values, gradients


def step(optimiser: Optimiser, theta: Tensor, gradient: Tensor, state: State, values: Mapping[str, Tensor]) -> None:
    """Take a compiled step."""
    CompiledOptimiser(optimiser, theta, gradient, state, values).step(values["lr"])


@each
def test_a_step_is_that_of_torch(case: str) -> None:
    """Weights and state agree after every step, and each form goes on from the state of the other."""
    optimiser, theta, state, values, gradients = start(CASES[case], torch.float64)
    expected, expected_state = theta.clone(), {name: each.clone() for name, each in state.items()}
    for number, gradient in enumerate(gradients):
        if number == STEPS // 2:
            theta, expected, state, expected_state = expected, theta, expected_state, state
        step(optimiser, theta, gradient.clone(), state, values)
        optimiser.update(expected, gradient.clone(), expected_state, values)
        assert close(theta, expected), number
        for name in state.keys() - {"quotient"}:  # which is scratch
            assert close(state[name], expected_state[name]), (number, name)


@each
def test_bits_do_not_depend_on_the_neighbours(case: str) -> None:
    optimiser, theta, state, values, gradients = start(CASES[case], torch.float32)
    for gradient in gradients:
        step(optimiser, theta, gradient.clone(), state, values)
    for slot in range(len(theta)):
        one, alone, _, _, _ = start(CASES[case], torch.float32)
        alone, own = alone[slot : slot + 1].clone(), {name: value[slot : slot + 1] for name, value in values.items()}
        its = one.init(alone, own)
        for gradient in gradients:
            step(one, alone, gradient[slot : slot + 1].clone(), its, own)
        assert torch.equal(alone[0], theta[slot])


@each
def test_parameters_may_have_rates_of_their_own(case: str) -> None:
    optimiser, theta, state, values, gradients = start(CASES[case], torch.float64)
    factors = torch.ones(len(theta), SIZE, dtype=torch.float64)
    factors[0, 20:30], factors[1, :7], factors[-1, 40:] = 6.0, 0.0, torch.linspace(0.5, 2, SIZE - 40)
    lr = values["lr"][:, None] * factors
    expected, expected_state = theta.clone(), {name: each.clone() for name, each in state.items()}
    for number, gradient in enumerate(gradients):
        CompiledOptimiser(optimiser, theta, gradient.clone(), state, values).step(lr)
        optimiser.update(expected, gradient.clone(), expected_state, {**values, "lr": lr})
        assert close(theta, expected), number
        for name in state.keys() - {"quotient"}:  # which is scratch
            assert close(state[name], expected_state[name]), (number, name)


@each
def test_a_step_is_near_that_of_torch_in_float32(case: str) -> None:
    optimiser, theta, state, values, gradients = start(CASES[case], torch.float32)
    expected, expected_state = theta.clone(), {name: each.clone() for name, each in state.items()}
    for gradient in gradients:
        step(optimiser, theta, gradient.clone(), state, values)
        optimiser.update(expected, gradient.clone(), expected_state, values)
    assert close(theta, expected, 1e-5)


@each
def test_steps_follow_each_other_with_other_rates(case: str) -> None:
    """One object takes all steps; its counts go on."""
    optimiser, theta, state, values, gradients = start(CASES[case], torch.float64)
    expected, expected_state = theta.clone(), {name: each.clone() for name, each in state.items()}
    gradient = torch.empty_like(theta)
    compiled = CompiledOptimiser(optimiser, theta, gradient, state, values)
    for number, given in enumerate(gradients):
        gradient.copy_(given)
        lr = values["lr"] / (1 + number)
        compiled.step(lr[:, None])
        optimiser.update(expected, given.clone(), expected_state, {**values, "lr": lr})
        assert close(theta, expected), number


def test_an_optimiser_without_a_compiled_form_is_left_to_torch() -> None:
    class Other(Adam):
        pass

    assert has_form(Adam({}))
    assert not has_form(Other({}))
