"""A technique from outside is tried: each way to break a contract is found, and sound techniques pass."""

from __future__ import annotations

import os
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from search import Numeric, RequestError, Structural, Study, Technique
from search.recipe import Recipe
from search.technique import Batch, Values
from search.technique.guarded import guarded
from search.train.crew import one_thread
from search.tryout.tryout import try_outside, try_technique

HERE = Path(__file__).relative_to(Path.cwd()) if Path(__file__).is_relative_to(Path.cwd()) else Path(__file__)


def tried(
    dataset: str = "wine", hyperparameters: Mapping[str, Any] | None = None, replicates: int = 1, **hooks: Any
) -> str:
    """Try a technique with these hooks, and a strength called `mine`, and return the note on it."""
    declared = {"mine": Numeric(low=0.1, high=1.0, neutral=0.0), **(hyperparameters or {})}
    given = guarded(Technique(name="mine", hyperparameters=declared, **hooks))
    study = Study(
        "baseline", dataset=dataset, techniques=[given], device="cpu", tracking_uri=None, replicates=replicates
    )
    with one_thread():
        return try_technique(given, study)


def strength(values: Values) -> Tensor:
    return values["mine"][:, None, None]


def in_training(change: Any) -> Any:
    """Return a `layer` hook that changes hidden activations in training."""

    def layer(h: Tensor, number: int, values: Values) -> Tensor:
        result: Tensor = change(h, values) if number and values.train else h
        return result

    return layer


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


def adversarial(shared: bool) -> Any:
    """Return a `loss` hook that trains on inputs changed along the sign of their gradient (FGSM)."""

    def cost(batch: Batch, predictions: Tensor) -> Tensor:
        return (
            -(F.log_softmax(predictions[..., : batch.outputs], -1) * batch.targets[..., : batch.outputs])
            .sum(-1)
            .mean(1)
        )

    def loss(batch: Batch, values: Values) -> Tensor:
        x = (batch.x if shared else values.per_slot(batch.x)).detach().clone().requires_grad_()
        (gradient,) = torch.autograd.grad(cost(batch, batch.forward(x)).sum(), x)
        moved = (x + 0.1 * gradient.sign()).detach()
        return values["mine"] * cost(batch, batch.forward(moved))

    return loss


def mixed_by_one_slots_draws(x: Tensor, values: Values) -> Tensor:
    order = values.uniform("order", x.shape[1])[0].argsort()
    return values.per_slot(x) + strength(values) * values.per_slot(x)[:, order]


def shift_weights(weights: Tensor, values: Values) -> None:
    weights.add_(1e-3 * values["mine"][:, None])


def half_of_the_first(gradient: Tensor, _weights: Tensor, values: Values) -> None:
    gradient[0] *= 1 - 0.5 * values["mine"][0]


def set_default_type(_weights: Tensor, values: Values) -> dict[str, Tensor]:
    torch.set_default_dtype(torch.float64)
    return {"mine_size": torch.zeros(values.slots)}


OWN_GENERATOR = np.random.default_rng()

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
        {
            "perturb_weights": lambda weights, gradient, values: (
                weights + values["mine"][:, None] * gradient / gradient.norm()
            )
        },
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
    assert line.startswith(f"{HERE}: {hook if ' ' in hook else f'hook {hook!r}'}"), line
    assert said in line
    assert "\n" not in line
    after = torch.get_default_dtype(), torch.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate()
    assert before[0] == after[0]
    assert torch.equal(before[1], after[1])
    assert before[2:] == after[2:]


def smoothed(y: Tensor, values: Values) -> Tensor:
    real = values.layout.widths[-1]
    smooth = values.per_slot(y) * (1 - strength(values))
    smooth[..., :real] += strength(values) / real
    return smooth


def start(values: Values) -> dict[str, Tensor]:
    return {"mean": torch.zeros(values.slots, dtype=values.dtype, device=values.device)}


def clip_to_the_mean(gradient: Tensor, _weights: Tensor, values: Values) -> None:
    size, mean = gradient.norm(dim=1), values.state["mean"]
    mean.copy_(torch.where(mean > 0, 0.9 * mean + 0.1 * size, size))
    gradient.mul_(1 - values["mine"][:, None] * (1 - (mean / size).clamp(max=1.0))[:, None])


def again_with_noise(batch: Batch, values: Values) -> Tensor:
    noise = values.normal("noise", *batch.x.shape[1:])
    noise[..., values.layout.widths[0] :] = 0
    other = batch.forward(values.per_slot(batch.x) + 0.1 * noise)
    return values["mine"] * (other - batch.predictions)[..., : batch.outputs].square().mean((1, 2))


def masked(h: Tensor, values: Values) -> Tensor:
    return h * (values.uniform("mask", *h.shape[1:]) >= 0.5 * strength(values))


def scaled(h: Tensor, number: int, values: Values) -> Tensor:
    scales = {"half": 0.5, "whole": 1.0, "twice": 2.0}
    return h if number == 0 else h * (1 + values["mine"][:, None, None] * scales[str(values.structure["size"])])


SOUND: dict[str, dict[str, Any]] = {
    "penalty": {"penalty": lambda weights, values: values["mine"] * weights.abs().sum(1), "powers": {1: "mine"}},
    "targets": {"targets": smoothed},
    "state": {"start": start, "gradient": clip_to_the_mean},
    "loss": {"loss": again_with_noise},
    "adversarial inputs": {"loss": adversarial(shared=False)},
    "draws": {"layer": in_training(masked)},
    "other weights": {
        "perturb_weights": lambda weights, gradient, values: weights + values["mine"][:, None] * gradient
    },
    "other inputs": {"perturb_inputs": lambda x, slope, values: x + strength(values) * slope.sign()},
    "an average": {"average": lambda _step, _steps, values: 1 - values["mine"] / 2},
    "stops": {"after_epoch": lambda metrics, values: metrics["train_loss"] < values["mine"]},
    "exp rounded": {"rate": lambda step, _steps, values: torch.exp(-values["mine"].double() * step).float()},
}


@pytest.mark.parametrize("case", SOUND)
def test_what_keeps_the_contracts_passes(case: str) -> None:
    assert tried(**SOUND[case]) == ""


def test_a_regression_is_tried_with_its_own_targets() -> None:
    tried("diabetes", loss=again_with_noise)
    with pytest.raises(RequestError, match=r"hook 'targets' makes the padding nonzero: only the first 1 of 16 outputs"):
        tried("diabetes", targets=lambda y, values: values.per_slot(y) + strength(values))


def test_inputs_that_are_not_expanded_work_for_one_replicate_which_is_said() -> None:
    def noisy(x: Tensor, values: Values) -> Tensor:
        noise = values.normal("noise", *x.shape[1:])
        noise[..., values.layout.widths[0] :] = 0
        return x + strength(values) * noise

    note = tried(input=noisy)
    assert "hook 'input' failed in line" in note
    assert "values.per_slot(x)" in note
    with pytest.raises(RequestError, match="hook 'input' failed in line"):
        tried(input=noisy, replicates=2)


@pytest.mark.parametrize(
    ("recipe", "options"),
    [
        ("baseline", {"set": {"hidden": "0"}}),
        ("baseline", {"folds": 3, "test": 0}),
        ("lr_schedule+dropout+batch_norm", {}),
        ("architecture", {"set": {"mine": 0.3}}),
        (
            {"name": "listed", "techniques": ["l2"], "settings": [{"name": "a", "set": {"mine": 0.1, "l2": 0.1}}]},
            {},
        ),
    ],
)
def test_a_technique_is_tried_in_any_study(recipe: Any, options: dict[str, Any]) -> None:
    def found(**hooks: Any) -> int:
        one = Technique(name="mine", hyperparameters={"mine": Numeric(low=0.1, high=1.0, neutral=0.0)}, **hooks)
        study = Study(given, dataset="wine", techniques=[one], device="cpu", tracking_uri=None, **options)
        return len(try_outside(study))

    given = recipe if isinstance(recipe, str) else Recipe.parse(recipe, "listed")
    assert found(**SOUND["penalty"]) == 1
    with pytest.raises(RequestError, match="hook 'gradient' gives a slot another result"):
        found(gradient=half_of_the_first)


def test_each_choice_of_a_structural_hyperparameter_is_tried() -> None:
    sizes = Structural(default="half", choices=("half", "whole", "twice"), searched=True)
    tried(hyperparameters={"size": sizes}, layer=scaled)

    def wrong_if_twice(h: Tensor, number: int, values: Values) -> Tensor:
        h = scaled(h, number, values)
        return h + h.mean(0) if values.structure["size"] == "twice" and number else h

    with pytest.raises(RequestError, match="hook 'layer' gives a slot another result"):
        tried(hyperparameters={"size": sizes}, layer=wrong_if_twice)


def test_of_several_hooks_the_one_at_fault_is_named() -> None:
    with pytest.raises(RequestError, match="hook 'project' gives a slot another result"):
        tried(
            penalty=SOUND["penalty"]["penalty"],
            project=lambda weights, values: weights.mul_(1 - 1e-3 * weights.abs().max() * values["mine"][:, None]),
            start=start,
            gradient=clip_to_the_mean,
        )


def test_padding_is_there_though_the_data_have_none() -> None:
    """Digits have 64 features; inputs of 16 need no padding."""
    with pytest.raises(RequestError, match=r"only the first 49 of 64 features are real"):
        tried("digits", input=lambda x, values: values.per_slot(x) + 0.1 * strength(values))


def test_a_technique_for_the_studys_own_features_is_tried_with_them() -> None:
    feature_weights = torch.linspace(0.5, 1.0, 64)
    tried(
        "digits",
        input=lambda x, values: values.per_slot(x) * (1 - strength(values) * (1 - feature_weights)),
    )


def test_a_technique_for_the_studys_own_widths_is_tried_with_them() -> None:
    def layer(h: Tensor, number: int, values: Values) -> Tensor:
        assert number == 0 or values.layout.widths[number] == 128
        return h

    tried(layer=layer)


def test_a_folder_that_a_hook_leaves_is_entered_again(tmp_path: Path) -> None:
    here = os.getcwd()

    def metrics(weights: Tensor, _values: Values) -> dict[str, Tensor]:
        os.chdir(tmp_path)
        return {"mine_size": weights.abs().sum(1)}

    with pytest.raises(RequestError, match="changes the working folder"):
        tried(metrics=metrics)
    assert os.getcwd() == here
