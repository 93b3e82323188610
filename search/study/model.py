"""Models of the networks that a study has trained: what `search.train.model_file` saves."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from search.data import Data
from search.errors import RequestError
from search.train.model_file import Model
from search.train.model_meta import Meta
from search.train.model_parts import EncodedInputs, Member, NonlinearInputs
from search.train.pack import Pack
from search.train.program import Program

if TYPE_CHECKING:
    from search.study.study import BaseStudy


@dataclass(frozen=True, eq=False)
class Chosen:
    """A trained network that becomes a model, alone or as a member of an ensemble.

    Attributes:
        trial: the number of its trial.
        replicate: the number of its replicate.
        network: a pack of this slot alone, with the weights to take.
        val_loss: its validation loss; None if it was trained on the validation rows.
        refit_epochs: the epochs that it was trained for, if it was trained on the validation rows too.
        count: how often it was chosen into an ensemble.
    """

    trial: int
    replicate: int
    network: Pack
    val_loss: float | None
    refit_epochs: int | None = None
    count: int = 1


def own_data(study: BaseStudy, chosen: Chosen) -> Data:
    """Return the data on which a network was trained: its fold, in the scale and the encoding of its trial."""
    return chosen.network.program.own(study.data, chosen.replicate)


def model_of(study: BaseStudy, chosen: Chosen) -> Model:
    """Return the model of a trial's network; an ensemble, if the trial has several networks that predict together.

    Raises:
        RequestError: the network is more than linear layers, activations and affine maps between them.
    """
    program, networks, data = chosen.network.program, plain_networks(chosen), own_data(study, chosen)
    own = {"trial": chosen.trial, "val_loss": chosen.val_loss, "refit_epochs": chosen.refit_epochs}
    if len(networks) > 1:
        return _joined(study, data, [(chosen, networks)], **own)
    return Model(_meta(study, data, **_shape(program), **own), {**networks[0], **_scalings(data)})


def ensemble_of(study: BaseStudy, members: Sequence[Chosen], val_loss: float | None) -> Model:
    """Return the model of an ensemble with this validation loss, None if its networks were trained on those rows.

    Its members are of one scale and encoding, and in a cross-validation of the first fold: the file has one of each.

    Raises:
        RequestError: a network is more than linear layers, activations and affine maps between them.
    """
    each = [(one, plain_networks(one)) for one in members]
    return _joined(study, own_data(study, members[0]), each, val_loss=val_loss)


def _joined(
    study: BaseStudy, data: Data, members: Sequence[tuple[Chosen, Sequence[dict[str, Tensor]]]], **own: Any
) -> Model:
    """Return the model of several networks: those of each member, which share its weight."""
    tensors, described = _scalings(data), list[Member]()
    common = math.lcm(*(len(networks) for _, networks in members))
    for one, networks in members:
        for network in networks:
            tensors |= {f"members.{len(described)}.{name}": tensor for name, tensor in network.items()}
            described.append(
                Member(
                    **_shape(one.network.program),
                    count=one.count * common // len(networks),
                    trial=one.trial,
                    replicate=one.replicate,
                    val_loss=one.val_loss,
                    refit_epochs=one.refit_epochs,
                )
            )
    widths = data.features, data.outputs
    return Model(_meta(study, data, format=2, widths=widths, activation="", members=tuple(described), **own), tensors)


def _shape(program: Program) -> dict[str, Any]:
    """Return the fields of a description that state the shape of a network."""
    layout = program.layout
    return {
        "widths": layout.widths,
        "activation": program.activation,
        "residual": program.joined,
        "branches": layout.branches,
        "waves": layout.waves,
    }


def plain_networks(chosen: Chosen) -> list[dict[str, Tensor]]:
    """Return the linear layers of each network of a trial by name, on the CPU: `search.train.plain`.

    Raises:
        RequestError: they do not predict what the trial does.
    """
    pack = chosen.network
    networks = pack.plain_weights(0)
    if not _predict_like(networks, pack):
        names = "+".join(technique.name for technique in pack.program.techniques)
        raise RequestError(
            f"trial {chosen.trial} uses {names}, whose network is more than linear layers, activations and affine maps:"
            " a model file holds nothing else (a technique says its map by the hook `affine`)"
        )
    return networks


def _meta(study: BaseStudy, data: Data, **own: Any) -> Meta:
    return Meta(
        task=data.task,
        classes=data.classes,
        dataset=data.name,
        columns=data.columns,
        preprocessor=data.preprocessor,
        target_names=data.target_names,
        pixel_max=data.pixel_max,
        nonlinear=None if data.inputs.nonlinear is None else NonlinearInputs.describe(data.inputs.nonlinear),
        encoded=None if data.encoding is None else EncodedInputs.describe(data.encoding),
        study=study.name,
        version=_version(),
        **own,
    )


def _scalings(data: Data) -> dict[str, Tensor]:
    scalings = {"inputs": data.inputs, "targets": data.targets}
    tensors: dict[str, Tensor] = {}
    for name, scaling in scalings.items():
        if scaling is not None:
            tensors |= {f"{name}.{kind}": tensor.cpu() for kind, tensor in scaling.tensors.items()}
    return tensors


def _predict_like(networks: Sequence[dict[str, Tensor]], pack: Pack) -> bool:
    """Return whether these layers predict what the pack does; a technique may change the predictions as well."""
    x = pack.batches.x_val
    plain = pack.predict_plainly(networks, x)
    atol = 1e-3 * float(plain.abs().mean())
    return torch.allclose(plain, pack.predict(x)[0, :, : plain.shape[1]], rtol=1e-3, atol=atol)


def _version() -> str:
    try:
        return version("regsearch")
    except PackageNotFoundError:
        return ""
