"""Fine-tuning starts from a network that was trained before, usually on other data.

The first `kept` layers start from the weights of the model file `source`. The other layers are drawn anew, and so is
the head if its classes are not those of the source. The first `frozen` of the kept layers do not train, and each layer
learns more slowly than the next. The learning rate of layer l = 1 ... L is

``lr_l = 0`` if ``l <= min(frozen, kept)``, else ``lr * layer_lr_ratio^(L - l)``.

This covers the four usual cases. With data similar to the source's: if there are few, keep and freeze all layers but
the head; if there are many, keep all and freeze none. With different data: if there are few, keep the first layers
only; if there are many, keep none, or all as a starting point.

The data are scaled as the source's data were, regression targets too, because weights mean nothing for inputs of
another scale. So name this technique after one that scales the data (``augmentation+fine_tune``). If the source has
skip connections or branches, the study needs them too (``skip+fine_tune``, ``shake_shake+fine_tune``). A frozen layer
has no weight decay either. But a technique that changes weights after the step, such as `max_norm`, changes frozen
layers too.

Shapes: weights ``slots x inputs x outputs``; factors on the learning rate ``slots x size``.

Hyperparameters searched: `kept`, `frozen` and `layer_lr_ratio`; a study must set `source`.

Source: Yosinski et al., "How transferable are features in deep neural networks?" (NIPS 2014); for `layer_lr_ratio`,
Howard and Ruder, "Universal language model fine-tuning for text classification" (ACL 2018). In torch:
`load_state_dict`, ``requires_grad_(False)`` and a parameter group with its own ``lr`` for each layer.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from search.technique import Numeric, Structural, StudyContext, Technique, Value, Values

if TYPE_CHECKING:
    from search.data import Data
    from search.technique.layout import Field
    from search.train.model_file import Model

_NONE = "none"


def parse(value: object) -> Value:
    """Return ``path#digest`` of a model file, or "none".

    The digest makes the file's content part of the study, which cannot continue with another file under the same path.
    """
    if not isinstance(value, str) or not value:
        raise ValueError("takes the path of a model file (.safetensors), or none")
    return value if value == _NONE else f"{_split(value)[0]}#{_read(value).digest}"


def _split(source: str) -> tuple[str, str]:
    """Return the path and the digest of a source; the digest is "" if there is none yet."""
    path, _, digest = source.rpartition("#")
    return (path, digest) if path and re.fullmatch("[0-9a-f]{16}", digest) else (source, "")


def _read(source: str) -> Model:
    # Only a trial that has a source needs the libraries that read one.
    from search.train.model_file import load

    path, digest = _split(source)
    model = load(path)
    if digest not in ("", model.digest):
        raise ValueError(f"{path} has changed: its digest is {model.digest}, but the study began with {digest}")
    if model.meta.members:
        several = "an ensemble" if model.meta.trial is None else f"{len(model.meta.members)} networks of one trial"
        raise ValueError(
            f"{path} holds {several}, of which no one can be trained on: export a single trial, without snapshot"
        )
    return model


# The digest is part of the name, so the cache is never out of date.
_model = lru_cache(maxsize=8)(_read)


def check(context: StudyContext) -> None:
    """Refuse sources with other inputs, scaling, activation or skip connections, or kept layers that do not fit."""
    sources = _sources(context)
    if not sources:
        raise ValueError("it needs a network to start from: give one with --set source=model.safetensors")
    kept = max(int(value) for value in context.possible("kept"))
    first, data = _model(sources[0]), context.data
    for source in sources:
        (name, _), model = _split(source), _model(source)
        if model.meta.encoded is not None or model.meta.waves:
            raise ValueError(f"{name} has bins or waves, from which fine_tune cannot start: give one without them")
        if model.meta.widths[0] != data.features:
            raise ValueError(f"{name} takes {model.meta.widths[0]} inputs, but {data.name} has {data.features}")
        for theirs, ours in zip(model.meta.columns, data.columns, strict=False):
            if str(theirs) != str(ours):
                raise ValueError(f"{name} takes an input {str(theirs)!r}, but {data.name} has {str(ours)!r}")
        if _scale(model) != _scale(first):
            raise ValueError(
                f"{name} scales its data differently from {_split(sources[0])[0]}: give each a study of its own"
            )
        if kept == 0:
            continue
        for activation in context.possible("activation"):
            # Weights that were trained for one activation do not work with another.
            if activation != model.meta.activation:
                raise ValueError(
                    f"{name} has activation {model.meta.activation}, but the study has {activation}: "
                    f"give --set activation={model.meta.activation}"
                )
        _validate_skips(kept, name, model, context)
        _validate_branches(kept, name, model, context)
        for hidden in context.possible("hidden"):
            _validate_kept_layers(kept, name, model, (data.features, *_widths(str(hidden)), data.outputs))


def _validate_kept_layers(kept: int, name: str, model: Model, widths: tuple[int, ...]) -> None:
    """Refuse a source whose kept hidden layers differ in shape; a head that does not fit is drawn anew."""
    ours, theirs = list(pairwise(widths))[:-1], list(pairwise(model.meta.widths))
    for number, shape in enumerate(ours[:kept]):
        if number >= len(theirs) or theirs[number] != shape:
            has = f"is {theirs[number][0]} x {theirs[number][1]}" if number < len(theirs) else "does not exist"
            hidden = "x".join(map(str, model.meta.widths[1:-1])) or "0"
            raise ValueError(
                f"kept {kept} keeps layer {number + 1} of {name}, which {has}, but here it is {shape[0]} x {shape[1]}: "
                f"keep fewer layers or give --set hidden={hidden}"
            )


def _validate_skips(kept: int, name: str, model: Model, context: StudyContext) -> None:
    """Refuse a source whose kept layers have skip connections where the study's have none, or the other way round."""
    theirs, ours = bool(model.meta.residual), context.possible("skip") if "skip" in context.techniques else [False]
    if kept < 2 or len(model.meta.widths) < 4:  # the first layer has none
        return
    if theirs and False in ours:
        raise ValueError(f"{name} has skip connections, so the study needs them: add technique 'skip' with skip=true")
    if not theirs and True in ours:
        raise ValueError(f"{name} has no skip connections, so the study cannot have them: give skip=false, or kept=1")
    maps = model.networks[0].maps.items()
    if any(number <= kept and bool((factor != 1).any() or shift.any()) for number, (factor, shift) in maps):
        raise ValueError(
            f"{name} scales what its skip connections join, as batch_norm does, which no kept layer contains: give a "
            "network that was trained without batch_norm"
        )


def _validate_branches(kept: int, name: str, model: Model, context: StudyContext) -> None:
    """Refuse a source whose kept layers have branches where the study's have none, or the other way round."""
    possible = context.possible("shake_shake") if "shake_shake" in context.techniques else [False]
    for on in possible:
        theirs = _branches(model)[:kept]
        ours = [2 if on and 1 < number < len(model.meta.widths) - 1 else 1 for number in range(1, len(theirs) + 1)]
        if theirs != ours:
            has = "branches" if max(theirs) > 1 else "no branches"
            raise ValueError(
                f"{name} has {has}, so the study needs the same: "
                + (
                    "give shake_shake=false, or kept=1"
                    if max(theirs) == 1
                    else "add technique 'shake_shake' with shake_shake=true, if it trained the source"
                )
            )


def _branches(model: Model) -> list[int]:
    """Return the number of branches of each layer of a network."""
    layers = len(model.meta.widths) - 1
    return [*(model.meta.branches or [1] * (layers - 1)), 1]


def _scale(model: Model) -> tuple[object, ...]:
    scalings = [one for one in (model.inputs, model.targets) if one is not None]
    numbers = [{name: tensor.tolist() for name, tensor in one.tensors.items()} for one in scalings]
    return numbers, model.meta.nonlinear, model.meta.pixel_max


def _widths(hidden: str) -> list[int]:
    return [int(width) for width in hidden.split("x") if width != "0"]


def _sources(context: StudyContext) -> list[str]:
    return [str(source) for source in context.possible("source") if source != _NONE]


def prepare(data: Data, context: StudyContext) -> Data:
    """Return the data scaled as the source's data were; unchanged if they are already."""
    sources = _sources(context)
    if not sources:
        return data
    model = _model(sources[0])
    theirs, targets = model.inputs, model.targets
    # A pixel of 16 in 0..16 has the brightness of one of 255 in 0..255.
    ratio = data.pixel_max / model.meta.pixel_max if data.pixel_max and model.meta.pixel_max else 1.0
    inputs = replace(theirs, shift=theirs.shift * ratio, scale=theirs.scale * ratio)
    if not inputs.equals(data.inputs):
        if data.inputs.nonlinear is not None:
            raise ValueError(
                f"{_split(sources[0])[0]} has a scaling of its own, which cannot follow the study's nonlinear one: give"
                " --scale standard, which the source's then replaces"
            )
        x_train, x_val, x_test = (inputs.apply(data.inputs.invert(x)) for x in (data.x_train, data.x_val, data.x_test))
        data = replace(data, inputs=inputs, x_train=x_train, x_val=x_val, x_test=x_test)
    if targets is not None and data.targets is not None and len(targets.scale) == data.outputs:
        y_train, y_val, y_test = (
            targets.apply(data.targets.invert(y)) for y in (data.y_train, data.y_val, data.y_test)
        )
        data = replace(data, targets=targets, y_train=y_train, y_val=y_val, y_test=y_test)
    return data


def _start_from(values: Values) -> Model | None:
    """Return the source; None if a trial has none, or the study keeps nothing of it."""
    source = str(values.structure.get("source", _NONE))
    return None if source == _NONE or "kept" not in values else _model(source)


def _usable(model: Model, widths: Sequence[int], classes: Sequence[str]) -> int:
    """Return how many layers may keep the source's weights: all, or all but the head if it predicts other targets."""
    theirs = model.meta
    same = len(theirs.widths) == len(widths) and theirs.widths[-1] == widths[-1] and theirs.classes == tuple(classes)
    return len(widths) - 1 if same else len(widths) - 2


def init(current: Tensor, _unit: Tensor, field: Field, values: Values) -> Tensor:
    """Return a field's weights ``slots x shape``: the source's weights in slots that keep the layer."""
    model = _start_from(values)
    if model is None or field.kind not in ("weight", "bias"):
        return current
    usable = _usable(model, values.layout.widths, values.classes)
    if field.layer >= min(usable, len(model.meta.widths) - 1):
        return current
    # Branches and the shapes of a layer differ only if no slot keeps it, as `check` made sure.
    if field.branch >= _branches(model)[field.layer]:
        return current
    weight, bias = model.layer(field.layer, field.branch)
    theirs = weight.T if field.kind == "weight" else bias
    if theirs.shape != field.shape:
        return current
    keeps = values["kept"].view(-1, *(1 for _ in field.shape)) > field.layer
    return torch.where(keeps, theirs.to(current), current)


def start(values: Values) -> dict[str, Tensor]:
    """Return the factor on the learning rate of each weight, ``slots x size``, which is the same at every step."""
    model = _start_from(values)
    if model is None:
        return {}
    layout, ratio = values.layout, values["layer_lr_ratio"]
    usable = _usable(model, layout.widths, values.classes)
    frozen = torch.minimum(values["frozen"], values["kept"]).clamp(max=usable)
    factors = torch.ones(values.slots, layout.size, dtype=values.dtype, device=values.device)
    factor = torch.ones_like(ratio)
    for layer in reversed(range(layout.layers)):
        of_layer = torch.where(frozen > layer, 0.0, factor)
        for field in layout.fields:
            if field.layer == layer:
                layout.view(factors, field).copy_(of_layer.view(-1, *(1 for _ in field.stored)))
        factor = factor * ratio
    return {"rate": factors}


def rate(_step: int, _steps: int, values: Values) -> Tensor:
    """Return the factor on the learning rate, ``slots x size``, or ``(slots,)`` ones if a trial has no source."""
    if "rate" in values.state:
        return values.state["rate"]
    return torch.ones(values.slots, dtype=values.dtype, device=values.device)


technique = Technique(
    name="fine_tune",
    hyperparameters={
        "source": Structural(default=_NONE, parse=parse, neutral=_NONE),
        "kept": Numeric(default=2, low=0, high=2, whole=True, minimum=0, neutral=0),
        "frozen": Numeric(low=0, high=2, whole=True, minimum=0, neutral=0, stronger="up"),
        "layer_lr_ratio": Numeric(low=0.1, high=1.0, log=True, above=0.0, maximum=1.0, neutral=1.0, stronger="down"),
    },
    check=check,
    prepare=prepare,
    init=init,
    start=start,
    rate=rate,
)
