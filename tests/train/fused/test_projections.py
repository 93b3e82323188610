"""The kernel that bounds norms does what the hook does in torch, and writes nothing else."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from support.packs import close
from torch import Tensor

from search.recipe.discovery import discover
from search.technique import LargestNorm, Technique
from search.technique.guarded import guarded
from search.technique.layout import Layout
from search.train.fused.projections import projections

pytestmark = pytest.mark.filterwarnings("ignore:(divide by zero|invalid value):RuntimeWarning")
# 150 inputs are read in three parts, 70 outputs by three programs; then branches, which have weights of their own.
LAYOUTS = [Layout((150, 70, 3)), Layout((13, 12, 12, 3), branches=(1, 2)), Layout((1, 1))]


class Given(dict[str, Any]):
    """The values of a technique: its bounds and the layout."""

    layout: Layout


def given(layout: Layout, bounds: Tensor) -> Given:
    values = Given(norm=bounds)
    values.layout = layout
    return values


def known(techniques: list[Technique], values: list[Any], engine: str = "torch") -> dict[int, Any]:
    return projections(techniques, values, engine, torch.device("cpu"))


def in_place(hook: LargestNorm, values: Given) -> Callable[[Tensor], None]:
    """Return what stands for a hook."""
    return known([Technique(name="one", project=hook)], [values])[id(values)]


@pytest.mark.parametrize(("dtype", "limit"), [(torch.float32, 1e-6), (torch.float64, 1e-14)])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_norms_are_those_of_torch(layout: Layout, dtype: torch.dtype, limit: float) -> None:
    theta = torch.randn(4, layout.size, generator=torch.Generator().manual_seed(1), dtype=dtype)
    # Within a layer some neurons are beyond the bound; in one slot all are, in one none, in one all are zero.
    weights = [layout.view(theta, layout.weight(number)) for number in range(len(layout.linears))]
    middle = torch.cat([weight.norm(dim=1) for weight in weights], 1).median()
    theta[3] = 0.0
    values = given(layout, torch.tensor([middle, 1e-3, torch.inf, 0.5], dtype=dtype))
    hook = LargestNorm("norm")
    expected, found = theta.clone(), theta.clone()
    hook(expected, values)  # type: ignore[arg-type]
    in_place(hook, values)(found)
    assert close(found, expected, limit)
    assert torch.equal(found == theta, expected == theta)
    assert not torch.equal(found, theta)
    assert torch.equal(found[2:], theta[2:])


def test_what_is_not_finite_stays_in_its_column() -> None:
    layout = Layout((20, 20))
    theta = torch.ones(1, layout.size, dtype=torch.float64)
    layout.view(theta, layout.weight(0))[0, 3, 4], layout.view(theta, layout.weight(0))[0, 3, 5] = torch.inf, torch.nan
    values = given(layout, torch.tensor([2.0], dtype=torch.float64))
    expected, found = theta.clone(), theta.clone()
    LargestNorm("norm")(expected, values)  # type: ignore[arg-type]
    in_place(LargestNorm("norm"), values)(found)
    assert torch.allclose(found, expected, rtol=1e-14, equal_nan=True)


def test_max_norm_has_the_form_and_soft_thresholds_have_not() -> None:
    """Also where the hooks are guarded, as a study's are."""
    techniques = [guarded(discover()[name]) for name in ("max_norm", "l1_prox")]
    values = [SimpleNamespace(), SimpleNamespace()]
    assert list(known(techniques, values)) == [id(values[0])]
    assert not known(techniques, values, engine="compiled")
