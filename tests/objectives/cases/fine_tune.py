"""Fine-tuning against `load_state_dict`, parameters without gradient, and a parameter group for each layer."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from reference import Draws
from support.contract import Case
from torch import Tensor, nn

from search.recipe.discovery import discover
from search.train.model_file import Model, save
from search.train.model_meta import Meta

# The folder lives as long as the module is loaded.
_FOLDER = tempfile.TemporaryDirectory(prefix="regsearch-")


def source(*widths: int, classes: tuple[str, ...], shift: float = 0.0, scale: float = 1.0) -> str:
    """Write a model file of random weights, for these classes or regression; return its name in a study."""
    generator = torch.Generator().manual_seed(sum(widths))
    tensors: dict[str, Tensor] = {}
    for layer, (inputs, outputs) in enumerate(pairwise(widths)):
        tensors[f"{2 * layer}.weight"] = torch.randn(outputs, inputs, generator=generator) / inputs**0.5
        tensors[f"{2 * layer}.bias"] = torch.randn(outputs, generator=generator) / 10
    scaled = {"inputs": widths[0]} if classes else {"inputs": widths[0], "targets": widths[-1]}
    for name, width in scaled.items():
        tensors |= {f"{name}.shift": torch.full((width,), shift), f"{name}.scale": torch.full((width,), scale)}
    task = "classification" if classes else "regression"
    path = Path(_FOLDER.name) / f"{'x'.join(map(str, widths))}{''.join(classes)}{shift}{scale}.safetensors"
    meta = Meta(widths=widths, activation="leaky_relu", task=task, classes=classes, dataset="random")
    save(path, Model(meta, tensors))
    return str(discover()["fine_tune"].hyperparameters["source"].validate("source", str(path)))


def plain(widths: tuple[int, ...], *, head: bool) -> Any:
    """Return the same training in plain torch; `head`: whether the source's head is for the same targets."""

    def arguments(values: Mapping[str, Any], _draws: Draws) -> dict[str, Any]:
        from safetensors.torch import load_file

        given = load_file(values["source"].rpartition("#")[0])
        last = len(widths) - 2
        usable = last + 1 if head else last
        kept = min(int(values["kept"]), usable)

        def init(model: nn.Sequential) -> None:
            begun = [name for name in given if name.partition(".")[0] in {str(2 * layer) for layer in range(kept)}]
            model.load_state_dict({name: given[name] for name in begun}, strict=False)

        def optimiser(parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
            groups = []
            for layer, pair in enumerate(zip(parameters[::2], parameters[1::2], strict=True)):
                for one in pair:
                    one.requires_grad_(layer >= min(kept, values["frozen"]))
                lr = values["lr"] * values["layer_lr_ratio"] ** (last - layer)
                groups.append({"params": [one for one in pair if one.requires_grad], "lr": lr})
            return torch.optim.AdamW(
                [group for group in groups if group["params"]],
                betas=(values["beta1"], values["beta2"]),
                eps=values["eps"],
                weight_decay=values["weight_decay"],
            )

        return {"init": init, "optimiser": optimiser, "rate": lambda _step: 1.0}

    return arguments


def slot(kept: int, frozen: int, ratio: float) -> dict[str, float]:
    return {"kept": kept, "frozen": frozen, "layer_lr_ratio": ratio, "weight_decay": 0.1}


def case(name: str, widths: tuple[int, ...], *slots: dict[str, float], head: bool, **source_: Any) -> Case:
    named = source(*widths, **source_)
    hidden = "x".join(map(str, widths[1:-1]))
    return Case(
        name,
        slots=slots,
        plain=plain(widths, head=head),
        data="table" if source_["classes"] else "regression",
        structure={"source": named, "hidden": hidden, "optimizer": "adamw"},
    )


CASES = [
    case(
        "the same classes",
        (13, 12, 20, 3),
        slot(3, 0, 1.0),
        slot(2, 1, 0.3),
        slot(1, 3, 0.5),
        slot(0, 0, 0.5),
        slot(0, 1, 1.0),
        slot(3, 2, 1.0),
        head=True,
        classes=("0", "1", "2"),
    ),
    case(
        "other classes, other scale",
        (13, 12, 3),
        slot(2, 2, 1.0),
        slot(2, 0, 0.3),
        slot(0, 0, 1.0),
        slot(1, 1, 1.0),
        head=False,
        classes=("a", "b", "c"),
        shift=0.5,
        scale=2.0,
    ),
    case("regression", (13, 12, 2), slot(2, 1, 1.0), slot(1, 0, 0.5), head=True, classes=(), shift=0.1, scale=1.5),
]
