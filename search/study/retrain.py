"""A trial's network, trained again: a trial is a pure function, so it is the network that the study saw."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

import torch
from optuna.trial import FrozenTrial, TrialState
from torch import Tensor

from search.errors import RequestError
from search.train.activations import ACTIVATIONS
from search.train.model_file import Meta, Model
from search.train.pack import Pack, Slot
from search.train.sampling import best_networks

if TYPE_CHECKING:
    from search.study.study import BaseStudy


def trained(study: BaseStudy, trial: int | None = None) -> Model:
    """The first replicate of a trial (the best) at its best epoch, as a model file holds it.

    Raises:
        RequestError: there is no such complete trial, or its network is more than linear layers and activations.
    """
    found = chosen(study, trial)
    values = study.space.complete(found.params)
    assert values is not None
    program, data = study.program(values), study.data
    networks = best_networks(program, study.batches, [Slot(found.number, 0, study.numeric(values))])
    if not networks:
        raise RequestError(f"trial {found.number} diverges when it is trained again: its loss is never finite")
    ((pack, val_loss),) = networks
    tensors = {name: tensor.cpu() for name, tensor in pack.weights(0).items()}
    for name, scaling in (("inputs", data.inputs), ("targets", data.targets)):
        if scaling is not None:
            tensors |= {f"{name}.shift": scaling.shift.cpu(), f"{name}.scale": scaling.scale.cpu()}
    meta = Meta(
        widths=program.layout.widths, activation=program.activation, task=data.task, classes=data.classes,
        dataset=data.name, columns=data.columns, pixel_max=data.pixel_max,
        study=study.name, trial=found.number, val_loss=val_loss, version=_version(),
    )  # fmt: skip
    model = Model(meta, tensors)
    if program.layout.vectors or not _is_all(model, pack):
        names = "+".join(technique.name for technique in program.techniques)
        raise RequestError(
            f"trial {found.number} is more than linear layers and activations ({names}): a model file holds no more"
        )
    return model


def chosen(study: BaseStudy, trial: int | None) -> FrozenTrial:
    """A complete trial by its number; the best where none is given.

    Raises:
        RequestError: there is none such.
    """
    if trial is None:
        if (best := study.best) is None:
            raise RequestError(f"study {study.name!r} has no complete trial")
        return best
    found = numbered(study, trial)
    if found.state != TrialState.COMPLETE:
        raise RequestError(f"trial {trial} is {found.state.name.lower()}: takes a complete one")
    return found


def numbered(study: BaseStudy, trial: int) -> FrozenTrial:
    """A trial by its number, whatever its state.

    Raises:
        RequestError: there is none such.
    """
    trials = study.optuna_study.get_trials(deepcopy=False)
    found = next((one for one in trials if one.number == trial), None)
    if found is None:
        raise RequestError(f"study {study.name!r} has no trial {trial}: it has {len(trials)}, from 0")
    return found


def _is_all(model: Model, pack: Pack) -> bool:
    """Whether the model's layers alone predict what the pack does; a technique may have had a part in it."""
    x, widths = pack.batches.x_val, model.meta.widths
    made = _forward(model, x[:, : widths[0]])
    return torch.allclose(made, pack.predict(x)[0, :, : widths[-1]], rtol=1e-3, atol=1e-3 * float(made.abs().mean()))


def _forward(model: Model, x: Tensor) -> Tensor:
    last = len(model.meta.widths) - 2
    for number in range(last + 1):
        weight, bias = (tensor.to(x) for tensor in model.layer(number))
        x = torch.addmm(bias, x, weight.T)
        x = x if number == last else ACTIVATIONS[model.meta.activation].forward(x)
    return x


def _version() -> str:
    try:
        return version("regsearch")
    except PackageNotFoundError:
        return ""
