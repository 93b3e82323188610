"""Sound techniques pass the tryout, in any study, and of several hooks the one at fault is named."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import torch
from support.tryouts import adversarial, half_of_the_first, in_training, strength, tried
from torch import Tensor

from search import Numeric, RequestError, Structural, Study, Technique
from search.recipe import Recipe
from search.technique import Batch, Values
from search.tryout.tryout import try_outside


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
    "other weights": {"perturb_weights": lambda w, gradient, values: w + values["mine"][:, None] * gradient},
    "other inputs": {"perturb_inputs": lambda x, slope, values: x + strength(values) * slope.sign()},
    "an average": {"average": lambda _step, _steps, values: 1 - values["mine"] / 2},
    "branches": {
        "branches": lambda number, _structure: 1 + number,
        "mix": lambda h, _number, values: h.mean(0) + 0.1 * values["mine"][:, None, None] * h[0],
        "hyperparameters": {"mine": Numeric(low=0.1, high=1.0)},
    },
    "stops": {"after_epoch": lambda metrics, values: metrics["train_loss"] < values["mine"]},
    "waves": {
        "waves": lambda structure: int(structure["count"]),
        "hyperparameters": {"count": Structural(default=2, choices=(0, 2), neutral=0)},
    },
    "edges": {
        "edges": lambda x, structure: [one.unique()[:: int(structure["step"])] for one in x.T],
        "hyperparameters": {"step": Structural(default=3, choices=(0, 3), neutral=0)},
    },
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
