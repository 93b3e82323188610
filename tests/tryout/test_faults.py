"""Each way in which a technique may break a contract is refused, in one line that names the hook."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
import torch
from support.tryouts import adversarial, half_of_the_first, in_training, strength, tried
from torch import Tensor
from torch.nn import functional as F

from search import Numeric, RequestError
from search.technique import Loops, Values


def over_the_slots(weights: Tensor, values: Values) -> Tensor:
    return values["mine"] * weights.abs().sum() * torch.ones(values.slots)


def noise_from(draw: Any) -> Any:
    return in_training(lambda h, values: h * (1 + strength(values) * torch.as_tensor(draw(h), dtype=h.dtype)))


def remembering() -> Any:
    kept: list[Tensor] = []

    def layer(h: Tensor, values: Values) -> Tensor:
        kept.append(h.detach().mean())
        return h * (1 + strength(values) * len(kept) * 1e-3)

    return in_training(layer)


def mixed_by_one_slots_draws(x: Tensor, values: Values) -> Tensor:
    order = values.uniform("order", x.shape[1])[0].argsort()
    return values.per_slot(x) + strength(values) * values.per_slot(x)[:, order]


def shift_weights(weights: Tensor, values: Values) -> None:
    weights.add_(1e-3 * values["mine"][:, None])


def set_default_type(_weights: Tensor, values: Values) -> dict[str, Tensor]:
    torch.set_default_dtype(torch.float64)
    return {"mine_size": torch.zeros(values.slots)}


ALWAYS_ON: dict[str, Any] = {"hyperparameters": {"mine": Numeric(low=0.1, high=1.0)}}
OWN_GENERATOR = np.random.default_rng()


def two(_number: int, _structure: Any) -> int:
    return 2


def mixed(h: Tensor, values: Values, by: Tensor | float = 1.0) -> Tensor:
    return h.mean(0) + 0.1 * values["mine"][:, None, None] * h[0] * by


def given(_number: int, _h: Tensor, values: Values) -> list[Tensor]:
    return [values["mine"]]


def first_of_two(h: Any, _mine: Any) -> None:
    h[1] = 0 * h[0]


FAULTS: dict[str, tuple[str, dict[str, Any], str]] = {
    "penalty over the slots": (
        "penalty",
        {"penalty": over_the_slots},
        "sum over the weights (dim 1), not over the slots (dim 0)",
    ),
    "a scalar penalty": (
        "penalty",
        {"penalty": lambda weights, values: (values["mine"] * weights.abs().sum(1)).sum()},
        "returns a tensor of shape (), where (slots,) = (6,) is right",
    ),
    "penalty of other weights": (
        "penalty",
        {"penalty": lambda weights, values: values["mine"] * weights.abs().mean(0).sum().expand(values.slots)},
        "sum over the weights (dim 1), not over the slots (dim 0)",
    ),
    "penalty without gradient": (
        "penalty",
        {"penalty": lambda weights, values: values["mine"] * weights.detach().abs().sum(1)},
        "returns a term without a gradient",
    ),
    "penalty in the padding": (
        "penalty",
        {"penalty": lambda weights, values: values["mine"] * (weights - 1).square().sum(1)},
        "has a gradient in the padding of 0.weight",
    ),
    "edges that do not increase": (
        "edges",
        {"edges": lambda x, _structure: [one.sort().values for one in x.T]},
        "do not increase: leave out equal ones",
    ),
    "a share of a wave": (
        "waves",
        {"waves": lambda _structure: 0.5},
        "0.5, where a whole number >= 0 is right",
    ),
    "penalty in float64": (
        "penalty",
        {"penalty": lambda weights, values: values["mine"].double() * weights.abs().sum(1)},
        "returns float64, where float32 is right: .to(float32)",
    ),
    "loss over the slots": (
        "loss",
        {"loss": lambda batch, values: values["mine"] * batch.predictions.square().mean((1, 2)).mean(0)},
        "when the hyperparameters of its neighbours change: sum or average over the batch or the weights (dim 1)",
    ),
    "gradient in inputs that slots share": (
        "loss",
        {"loss": adversarial(shared=True)},
        "before a gradient in inputs that slots share, expand them by values.per_slot(batch.x)",
    ),
    "one slot's draws": ("input", {"input": mixed_by_one_slots_draws}, "without the slots of another replicate"),
    "layer over the slots": (
        "layer",
        {"layer": in_training(lambda h, values: h - strength(values) * h.mean(0))},
        "when the hyperparameters of its neighbours change",
    ),
    "layer by place": (
        "layer",
        {"layer": in_training(lambda h, _values: h * (1 + 0.1 * torch.arange(len(h))[:, None, None]))},
        "in another place of a pack",
    ),
    "layer by width": (
        "layer",
        {"layer": in_training(lambda h, values: h * (1 + strength(values) / values.slots))},
        "gives a slot another result in a wider pack",
    ),
    "rounding": (
        "rate",
        {"rate": lambda step, _steps, values: torch.sigmoid(-values["mine"] * (1 + step))},
        "compute them in float64 and round",
    ),
    "padding of a layer": (
        "layer",
        {"layer": in_training(lambda h, values: h + strength(values))},
        "makes the padding nonzero: only the first 7 of 16 units are real",
    ),
    "padding of the inputs": (
        "input",
        {"input": lambda x, values: values.per_slot(x) + strength(values)},
        "makes the padding nonzero: only the first 13 of 16 features are real",
    ),
    "padding of the targets": (
        "targets",
        {"targets": lambda y, values: values.per_slot(y) * (1 - strength(values)) + strength(values) / y.shape[-1]},
        "makes the padding nonzero: only the first 3 of 16 outputs are real",
    ),
    "padding of the gradient": (
        "gradient",
        {"gradient": lambda gradient, _weights, values: gradient.add_(values["mine"][:, None] * 1e-3)},
        "makes the padding of 0.weight nonzero: change one parameter at a time",
    ),
    "padding of the weights": ("project", {"project": shift_weights}, "makes the padding of 0.weight nonzero"),
    "gradient by place": ("gradient", {"gradient": half_of_the_first}, "gives a slot another result in another place"),
    "gradient that is returned": (
        "gradient",
        {"gradient": lambda gradient, _weights, _values: gradient * 0.5},
        "returns a new tensor, which nothing reads: change gradient in place",
    ),
    "torch.rand": (
        "layer",
        {"layer": noise_from(torch.rand_like)},
        "torch's global random generator: use values.uniform",
    ),
    "F.dropout": (
        "layer",
        {"layer": in_training(lambda h, _values: F.dropout(h, 0.3))},
        "use values.uniform or values",
    ),
    "np.random": (
        "layer",
        {"layer": noise_from(lambda h: np.random.rand(*h.shape))},
        "numpy's global random generator",
    ),
    "random": ("layer", {"layer": noise_from(lambda _h: random.random())}, "Python's global random generator"),
    "a generator of its own": (
        "layer",
        {"layer": noise_from(lambda h: OWN_GENERATOR.random(h.shape))},
        "gives another result in a second, equal training: it draws random numbers of its own",
    ),
    "memory outside of the state": ("layer", {"layer": remembering()}, "keeps something outside of values.state"),
    "in place": ("layer", {"layer": in_training(lambda h, values: h.mul_(1 - strength(values)))}, "changes h in place"),
    "weights as metrics": (
        "metrics",
        {"metrics": lambda weights, _values: {"mine_size": weights.abs_().sum(1)}},
        "changes weights in place",
    ),
    "a metric of training": (
        "metrics",
        {"metrics": lambda weights, _values: {"val_loss": weights.abs().sum(1)}},
        "returns 'val_loss', which training measures itself",
    ),
    "the default type": ("metrics", {"metrics": set_default_type}, "changes torch's default type from torch.float32"),
    "layer without the batch": (
        "layer",
        {"layer": in_training(lambda h, _values: h.mean(1, keepdim=True))},
        "returns a tensor of shape (6, 1, 16), where slots x batch x units = (6, 16, 16) is right",
    ),
    "rate of one number": (
        "rate",
        {"rate": lambda _step, _steps, _values: 0.5},
        "returns float, where a tensor (slots,)",
    ),
    "stop of one number": (
        "after_epoch",
        {"after_epoch": lambda metrics, _values: bool((metrics["val_loss"] < 0).all())},
        "returns bool, where None or a bool tensor (slots,) = (6,), the slots to stop, is right",
    ),
    "other weights by the norm over the slots": (
        "perturb_weights",
        {"perturb_weights": lambda w, gradient, values: w + values["mine"][:, None] * gradient / gradient.norm()},
        "another result when the hyperparameters of its neighbours change",
    ),
    "other weights in the padding": (
        "perturb_weights",
        {"perturb_weights": lambda weights, _gradient, values: weights + values["mine"][:, None]},
        "makes the padding of 0.weight nonzero",
    ),
    "other inputs in place": (
        "perturb_inputs",
        {"perturb_inputs": lambda x, slope, values: x.add_(strength(values) * slope)},
        "changes x in place",
    ),
    "branches mixed over the slots": (
        "mix",
        {"branches": two, "mix": lambda h, _number, values: mixed(h, values, h.mean(1, keepdim=True)[0]), **ALWAYS_ON},
        "sum or average over the batch",
    ),
    "branches that stay apart": (
        "mix",
        {"branches": two, "mix": lambda h, _number, _values: h, **ALWAYS_ON},
        "where slots x batch x units = (6, 16, 16) is right",
    ),
    "branches mixed in place": (
        "mix",
        {"branches": two, "mix": lambda h, _number, values: h.mul_(values["mine"][:, None, None]).sum(0), **ALWAYS_ON},
        "changes h in place",
    ),
    "loops that mix otherwise": (
        "mix_loops and hook 'mix'",
        {
            "branches": two,
            "mix": lambda h, _number, values: mixed(h, values),
            "mix_loops": Loops(given, first_of_two, first_of_two),
            **ALWAYS_ON,
        },
        "do different things",
    ),
    "share of one number": (
        "average",
        {"average": lambda _step, _steps, _values: 0.5},
        "returns float, where a tensor",
    ),
    "state for all slots": ("start", {"start": lambda _values: {"mean": torch.zeros(16)}}, "'mean' with shape (16,)"),
    "neutral that is not": (
        "penalty",
        {"penalty": lambda weights, values: (values["mine"] + 0.1) * weights.abs().sum(1)},
        "changes training at mine=0, which is declared neutral",
    ),
    "powers of another function": (
        "powers and hook 'penalty'",
        {"penalty": lambda weights, values: 2 * values["mine"] * weights.abs().sum(1), "powers": {1: "mine"}},
        "do different things",
    ),
}


@pytest.mark.parametrize("case", FAULTS)
def test_what_breaks_a_contract_is_refused_with_its_hook(case: str) -> None:
    hook, hooks, said = FAULTS[case]
    before = torch.get_default_dtype(), torch.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate()
    with pytest.raises(RequestError) as caught:
        tried(**hooks)
    line = str(caught.value)
    assert line.partition(": ")[2].startswith(hook if " " in hook else f"hook {hook!r}"), line
    assert said in line
    assert "\n" not in line
    after = torch.get_default_dtype(), torch.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate()
    assert before[0] == after[0]
    assert torch.equal(before[1], after[1])
    assert before[2:] == after[2:]
